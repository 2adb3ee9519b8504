import { connectClient, dropConnection, type LoginConfig } from './connection.ts';

/**
 * Tells the server to end whatever the connection is running, over a connection of its own under the same login, which needs no right for that. Resolves to whether the server has done so; false when it could not be told or when `limit`
 * aborted first. Never rejects.
 */
export async function killQuery(config: LoginConfig, connectionId: number, limit: AbortSignal): Promise<boolean> {
  try {
    const { connection } = await connectClient(config, limit, () => {});
    try {
      return await new Promise<boolean>((resolve) => {
        limit.addEventListener('abort', () => resolve(false), { once: true });
        connection.on('error', () => resolve(false));
        // 1094: it knows no such connection (any more), so nothing can be hit.
        connection.query(`KILL QUERY ${connectionId}`, (error) => resolve(error === null || error.errno === 1094));
      });
    } finally {
      dropConnection(connection);
    }
  } catch {
    return false;
  }
}
