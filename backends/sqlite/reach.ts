import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StoreClient } from './store-client.ts';

/** Whether the file is one that a move may still make: not there, in a folder that is. */
export const isStillToMake = (path: string): boolean => !existsSync(path) && existsSync(dirname(path));

/** See `DataStore.checkLogin`: a file knows no logins, but it must be there, and be readable. */
export async function checkReach(client: StoreClient, path: string, signal: AbortSignal): Promise<void> {
  if (!isStillToMake(path)) await client.read(signal, () => undefined);
}
