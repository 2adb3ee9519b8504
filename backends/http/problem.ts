import { type ErrorReason, errorCatalogue } from '../../core/error-catalogue.ts';
import { shorten } from '../../core/shorten.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

const mostDetail = 4_000;
const mostFacts = 50;
const mostFact = 1_000;

const isReason = (text: unknown): text is ErrorReason => typeof text === 'string' && Object.hasOwn(errorCatalogue, text);

/** The failure that a body of problem details tells, with the reason of ours that it names; null: it is none, or names none. */
export function fromProblem(body: string): SwitchyardError | null {
  let problem: unknown;
  try {
    problem = JSON.parse(body);
  } catch {
    return null;
  }
  if (typeof problem !== 'object' || problem === null) return null;
  const { reason, detail, metadata, retryAfterMs } = problem as Readonly<Record<string, unknown>>;
  if (!isReason(reason)) return null;
  return new SwitchyardError(reason, typeof detail === 'string' && detail.trim() !== '' ? shorten(detail, mostDetail) : errorCatalogue[reason].summary, {
    metadata: factsOf(metadata),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  });
}

/** Of what a service tells beside its reason, a bounded part; whatever is no plain value is left out. */
function factsOf(metadata: unknown): Readonly<Record<string, string>> {
  if (typeof metadata !== 'object' || metadata === null) return {};
  const plain = Object.entries(metadata).filter(([, fact]) => typeof fact === 'string' || typeof fact === 'number' || typeof fact === 'boolean');
  return Object.fromEntries(plain.slice(0, mostFacts).map(([name, fact]) => [shorten(name), shorten(String(fact), mostFact)] as const));
}
