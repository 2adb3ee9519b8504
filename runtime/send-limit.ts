import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Cuts the connection when nothing more of this answer can be sent for `limitMs` (noticed within twice that): its reader is gone or asleep. To be called before the answer's `end`. */
export function limitSending(response: ServerResponse, limitMs: number): void {
  const begin = (socket: Socket): void => {
    // Node counts from the last progress of what waits to be written, and cuts a connection whose time is over.
    socket.setTimeout(limitMs);
    // Before Node itself looks at the finished answer: it sets the limit of an idle connection then.
    response.prependOnceListener('finish', () => socket.setTimeout(0));
  };
  // Behind the answer to an earlier request it has no connection yet.
  if (response.socket === null) response.once('socket', begin);
  else begin(response.socket);
}
