import { z } from 'zod';
import { hostPortSchema } from '../host-port.ts';

const secret = z.string().regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/, 'must be "env:NAME" or "file:/path": secrets are given by reference only');
const name = z.string().regex(/^[A-Za-z0-9_.-]{1,63}$/, 'must be 1 to 63 letters, digits, "_", "." or "-"');

/** Each peer once, by its name. */
const unique = <T extends { readonly name: string }>(peers: readonly T[], context: z.RefinementCtx): void => {
  peers.forEach((peer, index) => {
    if (peers.findIndex((other) => other.name === peer.name) !== index) context.addIssue({ code: 'custom', path: [index, 'name'], message: `"${peer.name}" is named twice` });
  });
};

/** Who may use a gateway's stores as its own. */
export const gatewayPeersSchema = z
  .array(
    z.strictObject({
      name: name.describe('As which the other cluster presents itself: `user` of the credentials in its keyspace.'),
      gateway: secret.describe("Secret of its gateways, by reference. It is a key to the gateway's login of every store."),
    }),
  )
  .max(100)
  .default([])
  .superRefine(unique)
  .describe(
    'Other Switchyards that may use the stores of this cluster as their own (docs/remote-stores.md). None: nobody may, and the service is not there. Without TLS: only over a network that you trust.',
  );

/** Who may use a cluster's stores as its own for moves. */
export const controlPeersSchema = z
  .array(
    z.strictObject({
      name: name.describe('As which the other cluster presents itself: `user` of the credentials in its keyspace.'),
      player: secret.describe("Secret of its players, by reference. It is a key to the player's login of every store."),
      owner: secret.describe("Secret of its control processes, by reference. It is a key to the owner's login of every store."),
    }),
  )
  .max(100)
  .default([])
  .superRefine(unique)
  .describe(
    'Other Switchyards that may move tables out of and into the stores of this cluster (docs/remote-stores.md). None: nobody may, and the services are not there. Without TLS: only over a network that you trust.',
  );

/** Where peers are served over HTTP. */
export const peersHttpSchema = z
  .union([z.literal('off').transform(() => null), hostPortSchema])
  .prefault('off')
  .describe('Where peers are served as JSON over HTTP, apart from everything else; "off": over gRPC alone, beside the API of this process.');
