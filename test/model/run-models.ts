import type { Ledger } from '../ledger/ledger.ts';
import { Search, type SearchLimits, type SearchResult } from './search.ts';
import type { Expectation, Subject } from './variants.ts';

/** One search and what it came to. */
export interface Outcome {
  /** In words that stay the same from run to run: the model, its sizes, the property, the weakness. */
  readonly subject: string;
  readonly expected: Expectation;
  readonly result: SearchResult;
  /** Found in the ledger, for this very model: not searched now. */
  readonly recorded: boolean;
  /** Of a caught variant, when it was asked for. */
  readonly history: readonly string[];
}

export interface RunOptions {
  readonly subjects: readonly Subject[];
  /** Folder of the `.pml` files. */
  readonly models: string;
  readonly limits: SearchLimits;
  /** Where outcomes are written down, by model; null: nowhere. */
  readonly ledgerOf: ((model: string) => Promise<Ledger>) | null;
  /** What the ledger holds of the same model is not searched again. */
  readonly resume: boolean;
  /** Whether histories of caught variants are wanted. */
  readonly show: boolean;
  readonly onOutcome: (outcome: Outcome) => void;
}

/** Whether the search came to what it has to. An incomplete one never does. */
export const isAsExpected = ({ expected, result }: Outcome): boolean => result.kind === expected;

/** Searches the subjects one after the other, each with its weakened variants. Rejects only where a model cannot be built or a search not be started. */
export async function runModels(options: RunOptions): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const subject of options.subjects) {
    const ledger = (await options.ledgerOf?.(subject.model)) ?? null;
    const known = options.resume && ledger !== null ? await recordedOutcomes(ledger) : new Map<string, SearchResult>();
    // Built when the first of its runs is needed.
    let building: Promise<Search> | null = null;
    try {
      for (const weakness of runsOf(subject)) {
        const name = nameOf(subject, weakness);
        const expected = weakness === null ? 'clean' : 'caught';
        const found = known.get(name);
        if (found !== undefined) {
          outcomes.push({ subject: name, expected, result: found, recorded: true, history: [] });
        } else {
          building ??= Search.build(subject, options.models, options.limits);
          const search = await building;
          const result = await search.run(weakness, options.limits);
          const history = options.show && result.kind === 'caught' ? await search.history(weakness) : [];
          const outcome: Outcome = { subject: name, expected, result, recorded: false, history };
          outcomes.push(outcome);
          await ledger?.append({ subject: name, outcome: isAsExpected(outcome) ? 'passed' : 'failed', figures: figuresOf(result) });
        }
        const last = outcomes.at(-1);
        if (last !== undefined) options.onOutcome(last);
      }
    } finally {
      await (await (building as Promise<Search> | null)?.catch(() => null))?.[Symbol.asyncDispose]();
    }
  }
  return outcomes;
}

/** Null: the model with all its safeguards. */
const runsOf = (subject: Subject): readonly (string | null)[] => [...(subject.whole ? [null] : []), ...subject.weaknesses];

export function nameOf({ model, property, sizes }: Subject, weakness: string | null): string {
  const parts = Object.entries(sizes)
    .map(([name, value]) => `${name}=${value}`)
    .toSorted();
  const whole = [model, ...parts, ...(property === 'assertions' ? [] : [property.ltl])].join(' ');
  return weakness === null ? whole : `${whole}, weakened: ${weakness}`;
}

const figuresOf = ({ kind, states, depth, seconds }: SearchResult): Record<string, number | string> => ({ found: kind, states, depth, seconds: Number(seconds.toFixed(1)) });

/** What passed, by subject. */
async function recordedOutcomes(ledger: Ledger): Promise<Map<string, SearchResult>> {
  const passed = (await ledger.current()).filter((entry) => entry.outcome === 'passed');
  return new Map(
    passed.flatMap(({ subject, figures: { found, states, depth, seconds } }): [string, SearchResult][] =>
      found === 'clean' || found === 'caught' ? [[subject, { kind: found, states: Number(states), depth: Number(depth), seconds: Number(seconds), message: '' }]] : [],
    ),
  );
}
