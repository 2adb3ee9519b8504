import { SwitchyardError } from './switchyard-error.ts';

/* What a call of one service to another that passes its store on carries beside its message: metadata over gRPC, headers over HTTP. */

/** As which peer the caller is known to the other end. */
export const PEER_KEY = 'switchyard-peer';
/** "Bearer " and the peer's secret. */
export const AUTHORIZATION_KEY = 'authorization';
/** Names a call that may be cancelled by another one. */
export const CALL_KEY = 'switchyard-call';

/** Whether a secret can travel as it is: visible ASCII without spaces, as whatever makes secrets makes them. */
export const isBearer = (secret: string): boolean => /^[\x21-\x7e]{1,4096}$/.test(secret);

/** What a call carries of who makes it. KEYSPACE_INVALID where that cannot be sent; nothing of the secret is shown. */
export function peerHeaders({ user, secret }: { readonly user: string; readonly secret: string }): Readonly<Record<string, string>> {
  if (!isBearer(secret) || !isBearer(user))
    throw new SwitchyardError('KEYSPACE_INVALID', `the name "${user}" by which a service is to know us, or its secret, is not of visible ASCII characters without spaces`);
  return { [PEER_KEY]: user, [AUTHORIZATION_KEY]: `Bearer ${secret}` };
}
