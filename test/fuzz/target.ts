import type { Random } from './random.ts';

/** A part of the product that takes input from outside, together with how inputs for it are made. */
export interface FuzzTarget {
  /** Name of its folder in the corpus. */
  readonly name: string;
  /** What the format is made of; mutation puts these in. */
  readonly words: readonly string[];
  /** Of a hundred inputs so many are changed blindly after they were made; 60 where it is left out. Fewer where most blind changes fail in the same first step. */
  readonly changedPercent?: number;
  /** A new input: valid or nearly so. */
  generate(random: Random): Buffer;
  open(): Promise<OpenTarget>;
}

/** A target that is ready to be given inputs, one after the other. */
export interface OpenTarget extends AsyncDisposable {
  /** Gives one input to the product. Returns what came of it, such as a reason, for the statistics; a `Finding` is thrown where something came that never may. Whatever else is thrown is a finding too. */
  run(input: Buffer): string | Promise<string>;
  /** What must hold whatever has come in; asked after every batch. */
  check?(): Promise<void>;
}

/** In which way a target was found wanting. `answer`: neither a value nor one of the catalogue's reasons; `state`: something changed that must not have; the others as they read. */
export type FindingKind = 'answer' | 'state' | 'crash' | 'hang' | 'slow' | 'growth';

/** Something that came of an input and never may. */
export class Finding extends Error {
  readonly kind: FindingKind;

  constructor(kind: FindingKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** Throws a finding unless `holds`. */
export function must(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Finding('answer', message);
}

export const messageOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
