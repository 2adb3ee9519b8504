/** What a bench hands back: printed as one JSON object with --json, as tables without. */
export interface BenchResult {
  readonly name: string;
  readonly machine: Readonly<Record<string, string | number>>;
  /** What was asked for, defaults filled in. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly totals: object;
  readonly ratios: Readonly<Record<string, number>>;
  readonly runs: readonly object[];
  /** Each says in one line what was found; a bench with any exits non-zero. */
  readonly violations: readonly string[];
}

export interface BenchOption {
  /** As commander reads it: "--cutovers <n>". */
  readonly flags: string;
  readonly summary: string;
  /** Shown; the bench itself puts it where nothing is given. */
  readonly default?: string | number;
  readonly choices?: readonly string[];
}

export interface BenchContext {
  /** Values of the bench's own options by camel-case name, as given. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Tells the person who waits. */
  readonly say: (line: string) => void;
}

export interface Bench {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly BenchOption[];
  run(context: BenchContext): Promise<BenchResult>;
}
