import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
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

/** A run's process and its judge speak through the files of one directory, which outlive whatever the process meets. */
export class RunFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** See `progress.ts`. */
  get progress(): string {
    return join(this.#directory, 'progress');
  }

  /** What the process prints. */
  get log(): string {
    return join(this.#directory, 'log');
  }

  get plan(): FuzzPlan {
    return deserialize(readFileSync(join(this.#directory, 'plan'))) as FuzzPlan;
  }
  set plan(plan: FuzzPlan) {
    writeFileSync(join(this.#directory, 'plan'), serialize(plan));
  }

  /** Null until the run has come to its end. */
  get end(): RunEnd | null {
    try {
      return deserialize(readFileSync(join(this.#directory, 'end'))) as RunEnd;
    } catch {
      return null;
    }
  }
  set end(end: RunEnd | null) {
    const half = join(this.#directory, 'end.half');
    writeFileSync(half, serialize(end));
    renameSync(half, join(this.#directory, 'end'));
  }
}
