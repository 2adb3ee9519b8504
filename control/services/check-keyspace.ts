import type { KeptLog, Problem } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { Keyspace } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { abortError, asSwitchyardError, within } from '../time-limit.ts';
import { ownerAndPlayer } from '../store-checks.ts';
import { workflowOfStream } from '../move.ts';
import type { OpenedKeyspace, Stores } from '../stores.ts';
import { largeLogs, largeLogText, type LogLimits } from '../upkeep/log-guard.ts';

const CHECK_LIMIT_MS = 10_000;

type Found = Pick<Problem, 'message' | 'fix'>;

export interface KeyspaceCheck {
  readonly stores: Stores;
  readonly clock: Clock;
  readonly logLimits: LogLimits;
}

/** What is wrong with a keyspace's store, asked of it now under both of control's logins. Bounded in time, and never fails but by its signal: a store that cannot be asked is a finding. */
export async function checkKeyspace(keyspace: Keyspace, { stores, clock, logLimits }: KeyspaceCheck, signal: AbortSignal): Promise<readonly Found[]> {
  const missing = await stores.missingSecrets(keyspace);
  if (missing.length > 0) return missing.map(foundBy);
  const late = (): SwitchyardError => new SwitchyardError('DEADLINE_EXCEEDED', `no answer within ${CHECK_LIMIT_MS} ms`);
  try {
    await using opened = await stores.open(keyspace);
    return await within(clock, CHECK_LIMIT_MS, late, signal, (limited) => problemsOf(opened, logLimits, limited));
  } catch (error) {
    if (signal.aborted) throw abortError(signal);
    return [foundBy(asSwitchyardError(error))];
  }
}

async function problemsOf(opened: OpenedKeyspace, limits: LogLimits, signal: AbortSignal): Promise<readonly Found[]> {
  const found = await ownerAndPlayer(opened, () => opened.owner.checkStore(signal), signal);
  const logs = await opened.owner.keptLogs(signal).catch((error: unknown) => {
    // Of a store that has said what is wrong with it, that is why.
    if (found.length === 0) throw error;
    return [];
  });
  return [...found, ...largeLogs(logs, limits).map((log) => ({ message: largeLogText(log, limits), fix: logFix(log) }))];
}

function logFix({ stream, dropText }: KeptLog): string {
  const workflow = stream === null ? null : workflowOfStream(stream);
  const look = workflow === null ? 'switchyard movetables status shows the workflows' : `switchyard movetables status ${workflow} says what its stream waits for`;
  return `${look}: bring back what is missing and end transactions that have been open for long, or cancel the workflow (complete it where the target serves). If there is no such workflow any more, as the owner of the store: ${dropText}`;
}

function foundBy({ what, fix, reason }: SwitchyardError): Found {
  if (fix !== undefined) return { message: what, fix };
  return { message: `the store cannot be asked: ${reason}: ${what}`, fix: 'let control reach it, or correct the keyspace (switchyard keyspace apply), and ask again' };
}
