/** Every step of a cutover in the protocol's order, with what it does. The journal, the spans and `onStep` use these names. */
export const cutoverSteps = {
  // Prepare: no hold, minutes allowed, may be repeated.
  lock: 'take the locks of both keyspaces and a new attempt number',
  precheck: 'check that the hold can begin and would be short',
  'reverse-stream': 'begin the log of the way back and its stream, stopped',
  sequences: "raise the new primary's sequences above the present ones, with a margin",
  'warm-up': 'save the rights that open will give, open the connections of the transitions',
  // Hold: writes wait, reads go on.
  'rules-hold': 'rules: writes of the tables are held',
  fence: 'the present primary refuses writes and ends its history with the marker',
  'catch-up': 'wait until the new primary has recorded the marker',
  commit: 'the decision: the present primary never takes a write again',
  ready: 'the new primary may be read',
  close: 'the old primary may no longer be read',
  open: 'the new primary takes writes',
  flip: 'rules: the tables point to the new primary, writes are open',
  // After: traffic flows.
  'reverse-start': 'start the stream of the way back',
  'forward-freeze': 'end the stream that brought the changes here, drop its log',
  'compare-last': 'compare the rows that changed last',
  journal: 'write down how it ended',
  unlock: 'give the locks back',
  // Instead of commit and what follows.
  abort: 'the other decision: the present primary takes writes again',
  release: 'rules: the tables stay where they are, writes are open',
} as const;

export type CutoverStepName = keyof typeof cutoverSteps;

export const prepareSteps = ['lock', 'precheck', 'reverse-stream', 'sequences', 'warm-up'] as const satisfies readonly CutoverStepName[];
export const holdSteps = ['rules-hold', 'fence', 'catch-up', 'commit', 'ready', 'close', 'open', 'flip'] as const satisfies readonly CutoverStepName[];
export const afterSteps = ['reverse-start', 'forward-freeze', 'compare-last', 'journal', 'unlock'] as const satisfies readonly CutoverStepName[];
export const abortSteps = ['abort', 'release'] as const satisfies readonly CutoverStepName[];
