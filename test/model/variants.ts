/** What a search must come to: no error in all of the states, or the weakness caught. */
export type Expectation = 'clean' | 'caught';

/** A model in one size: one build of its search, in which each weakened variant is a run of its own. */
export interface Subject {
  /** File of this folder, without `.pml`. */
  readonly model: string;
  /** Sizes by their names in the model; what is not named is as the model says. */
  readonly sizes: Readonly<Record<string, number>>;
  /** What is asked of it: that no assertion fails, or that this `ltl` formula of the model holds on every fair run. */
  readonly property: 'assertions' | { readonly ltl: string };
  /** Whether the model itself, with all its safeguards, is searched: completely, and without an error. */
  readonly whole: boolean;
  /** Safeguards, by their names in the model, each of which must be missed when it is taken away. */
  readonly weaknesses: readonly string[];
  /** Only with `--full`. */
  readonly full: boolean;
}

const small = { sizes: {}, property: 'assertions', whole: true, full: false } as const;
const full = { ...small, weaknesses: [], full: true } as const;

/** Ends of the second workflow of rows.pml: the same way once more, and the other way round. The model's own are the next store of a chain. */
const again = { SECOND_FROM: 0, SECOND_TO: 1 };
const back = { SECOND_FROM: 1, SECOND_TO: 0 };

/** Everything that is searched, in this order. */
export const subjects: readonly Subject[] = [
  {
    ...small,
    model: 'cutover',
    weaknesses: [
      'NO_WRITE_FENCE',
      'NO_READ_FENCE',
      'NO_DRAIN',
      'NO_TOKEN',
      'NO_APPLY_CHECK',
      'FENCE_ANY_ATTEMPT',
      'NO_MARKER',
      'ANY_MARKER',
      'COMMIT_ANY_ATTEMPT',
      'COMMIT_UNCHECKED',
      'ABORT_DECIDED',
      'ABORT_UNCHECKED',
      'READY_UNDECIDED',
      'READY_ANY_ATTEMPT',
      'READY_UNCHECKED',
      'CLOSE_EARLY',
      'CLOSE_UNCHECKED',
      'OPEN_BEFORE_CLOSE',
      'OPEN_UNCHECKED',
    ],
  },
  { ...small, model: 'streams', sizes: { WRITES: 1 }, weaknesses: ['RESTART_BLIND', 'RESTART_ANY_TOKEN', 'RESTART_ANY_STATE', 'NO_LOG_CHECK'] },
  {
    ...small,
    model: 'logs',
    weaknesses: [
      'DROP_ANY_ATTEMPT',
      'CLAIM_ANY_ATTEMPT',
      'CLAIM_LAST',
      'CREATE_OVER',
      'NO_PREPARE',
      'PREPARE_ANY_ATTEMPT',
      'LOOK_BEFORE_PREPARE',
      'FREEZE_BEFORE_LOOK',
      'BEGIN_ANY_TOKEN',
      'TAIL_UNDECIDED',
    ],
  },
  { ...small, model: 'rows', weaknesses: ['NO_TOMBSTONE', 'ATTEMPTS_RESTART', 'SWITCH_UNCOPIED'] },
  { ...small, model: 'rows', sizes: again, weaknesses: ['NO_OWNER'] },
  { ...small, model: 'rows', sizes: back, property: { ltl: 'flows' }, weaknesses: ['CLAIM_OPEN_TARGET', 'END_DROPS_FIRST', 'GIVE_UP_CLOSED', 'END_UNWATCHED'] },
  { ...small, model: 'rules', sizes: { THIRD: 0 }, weaknesses: ['REPAIR_UNMARKED'] },
  { ...small, model: 'rules', sizes: { THIRD: 0 }, property: { ltl: 'served' }, whole: false, weaknesses: ['RULES_BEAT_ROWS', 'NO_REPAIR', 'HOLD_WITHOUT_END'] },
  { ...small, model: 'rules', property: { ltl: 'served' }, whole: false, weaknesses: ['ATTEMPT_FROM_RULES'] },
  { ...small, model: 'rules', property: { ltl: 'settled' }, whole: false, weaknesses: ['HELD_IS_WELL'] },
  {
    ...small,
    model: 'tier-b',
    weaknesses: ['NO_BARRIER', 'EARLY_ACK', 'SESSION_REGISTERS', 'LATE_REGISTRATION', 'BLIND_DECISION', 'BLIND_ABORT', 'NO_CATCH_UP', 'READS_BY_LEASE'],
  },
  // One gateway writes to the target while another one, which has not heard of the decision, reads.
  { ...small, model: 'tier-b', sizes: { GATEWAYS: 2, OPERATIONS: 1 }, weaknesses: ['NO_LEASE_WAIT', 'LEASE_FROM_ANSWER'] },
  { ...full, model: 'cutover', sizes: { ATTEMPTS: 3 }, weaknesses: ['OPEN_ANY_ATTEMPT'] },
  { ...full, model: 'cutover', sizes: { GATEWAYS: 2, OPERATIONS: 1 } },
  { ...full, model: 'streams' },
  { ...full, model: 'logs', sizes: { ATTEMPTS: 4 } },
  { ...full, model: 'rules' },
  { ...full, model: 'rules', sizes: { THIRD: 0 }, property: { ltl: 'served' } },
  { ...full, model: 'rules', sizes: { THIRD: 0 }, property: { ltl: 'settled' } },
  { ...full, model: 'rows', sizes: { ATTEMPTS: 3 } },
  { ...full, model: 'rows', sizes: { ...again, ATTEMPTS: 3 } },
  { ...full, model: 'rows', property: { ltl: 'flows' } },
  { ...full, model: 'rows', sizes: again, property: { ltl: 'flows' } },
];
