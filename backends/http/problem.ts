import { type ErrorReason, errorCatalogue } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

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
  const facts = typeof metadata === 'object' && metadata !== null ? Object.entries(metadata).map(([name, fact]) => [name, String(fact)] as const) : [];
  return new SwitchyardError(reason, typeof detail === 'string' ? detail : errorCatalogue[reason].summary, {
    metadata: Object.fromEntries(facts),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  });
}
