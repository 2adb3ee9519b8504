import { connect } from 'node:net';

const CANCEL_REQUEST_CODE = 80_877_102;

/** Whom to cancel: given by the server when the connection began. */
export interface CancelKey {
  readonly host: string;
  readonly port: number;
  readonly processId: number;
  readonly secretKey: number;
}

/**
 * Asks the server to cancel whatever the connection is running, over a connection of its own. Resolves to whether the server closed that connection after the request, which it does once the
 * signal has been sent; false when it could not be asked or when `limit` aborted first. Never rejects.
 */
export function requestCancel(key: CancelKey, limit: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  message.writeInt32BE(key.processId, 8);
  message.writeInt32BE(key.secretKey, 12);
  const socket = connect({ host: key.host, port: key.port });
  const giveUp = (): void => {
    socket.destroy();
    resolve(false);
  };
  limit.addEventListener('abort', giveUp, { once: true });
  socket.on('connect', () => socket.write(message));
  socket.on('end', () => {
    socket.end();
    resolve(true);
  });
  socket.on('error', giveUp);
  socket.on('close', () => {
    limit.removeEventListener('abort', giveUp);
    resolve(false);
  });
  socket.resume();
  if (limit.aborted) giveUp();
  return promise;
}
