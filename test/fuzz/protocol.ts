import type { FindingKind } from './target.ts';

/** What a run is to do: a time of 0 seconds replays the corpus only. */
export interface FuzzPlan {
  /** Module with the export `target`. */
  readonly module: string;
  readonly seed: number;
  readonly seconds: number;
  /** Run first, each once. */
  readonly corpus: readonly Uint8Array[];
  /** Runs of the input before the one that failed, to make it smaller; 0: it is left as it is. */
  readonly minimiseTries: number;
  /** Where the run says how far it is, and which input it is at; see `progress.ts`. */
  readonly progress: SharedArrayBuffer;
}

export interface FoundInput {
  readonly kind: FindingKind;
  readonly message: string;
  /** Null where no single input is to blame. */
  readonly input: Uint8Array | null;
}

/** What a run says at its end. */
export interface RunEnd {
  readonly inputs: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Largest CPU time of one input. */
  readonly slowestMs: number;
  readonly found: FoundInput | null;
}
