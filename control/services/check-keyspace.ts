import type { Problem } from '../../backends/backend.ts';
import type { Keyspace } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { abortError, asSwitchyardError, within } from '../time-limit.ts';
import { ownerAndPlayer } from '../store-checks.ts';
import type { ControlDeps } from '../move.ts';
import type { Stores } from '../stores.ts';

const CHECK_LIMIT_MS = 10_000;

type Found = Pick<Problem, 'message' | 'fix'>;

/** What is wrong with a keyspace's store, asked of it now under both of control's logins. Bounded in time, and never fails but by its signal: a store that cannot be asked is a finding. */
export async function checkKeyspace(keyspace: Keyspace, stores: Stores, { clock }: ControlDeps, signal: AbortSignal): Promise<readonly Found[]> {
  const missing = await stores.missingSecrets(keyspace);
  if (missing.length > 0) return missing.map(foundBy);
  const late = (): SwitchyardError => new SwitchyardError('DEADLINE_EXCEEDED', `no answer within ${CHECK_LIMIT_MS} ms`);
  try {
    await using opened = await stores.open(keyspace);
    return await within(clock, CHECK_LIMIT_MS, late, signal, (limited) => ownerAndPlayer(opened, () => opened.owner.checkStore(limited), limited));
  } catch (error) {
    if (signal.aborted) throw abortError(signal);
    return [foundBy(asSwitchyardError(error))];
  }
}

function foundBy({ what, fix, reason }: SwitchyardError): Found {
  if (fix !== undefined) return { message: what, fix };
  return { message: `the store cannot be asked: ${reason}: ${what}`, fix: 'let control reach it, or correct the keyspace (switchyard keyspace apply), and ask again' };
}
