/** Every step of the switch of a departure in its order, with what it does. The journal and `onStep` use these names. */
export const departureSteps = {
  precheck: 'check that every gateway can be counted, and that the service has no other name',
  'catch-up': 'compare, while writes go on',
  begin: 'take a new attempt number',
  // Hold: writes wait, reads go on.
  'rules-hold': 'rules: writes of the tables are held',
  barrier: 'every gateway has said that it holds and that none of its writes is under way',
  compare: 'compare until a whole pass finds nothing, and mark the target with the attempt',
  sequences: "raise the target's sequences above the highest numbers, with a margin",
  decide: 'rules: the tables point to the target, writes are held still. The decision',
  ready: 'the target may be read',
  leases: 'wait until no gateway can read the source any more',
  open: 'the target takes writes',
  flip: 'rules: writes are open',
  // Instead of the decision and what follows.
  release: 'rules: the tables stay where they are, writes are open',
} as const;

export type DepartureStepName = keyof typeof departureSteps;
