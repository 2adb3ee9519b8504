import type { OwnerStore, Problem, ReplicationStore } from '../backends/backend.ts';
import { hasReason } from '../core/switchyard-error.ts';

/** What is wrong with a store under both of control's logins: what `check` finds as the owner, and a login that is refused to either. What keeps the store from being asked at all is thrown. */
export async function ownerAndPlayer(
  stores: { readonly owner: OwnerStore; readonly player: ReplicationStore },
  check: () => Promise<readonly Problem[]>,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  const [ofOwner, ofPlayer] = await Promise.all([
    refusalFound(check),
    refusalFound(async () => {
      await stores.player.checkLogin(signal);
      return [];
    }),
  ]);
  // A login that is refused for a missing right: the owner has seen that right missing, and names it with its statement.
  const isSame = ofOwner.length > 0 && ofPlayer.some(({ forRight }) => forRight);
  return [...ofOwner, ...(isSame ? [] : ofPlayer)].map(({ table, message, fix }) => ({ table, message, fix }));
}

async function refusalFound(act: () => Promise<readonly Problem[]>): Promise<readonly (Problem & { readonly forRight?: boolean })[]> {
  try {
    return await act();
  } catch (error) {
    if (!hasReason(error, 'STORE_LOGIN_REFUSED')) throw error;
    return [{ table: null, message: error.what, fix: error.fix ?? '', forRight: error.metadata.missing === 'right' }];
  }
}
