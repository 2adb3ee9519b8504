import { createHash, timingSafeEqual } from 'node:crypto';
import type { Identity } from '../../core/keyspace.ts';
import { AUTHORIZATION_KEY, isBearer, PEER_KEY } from '../../core/peer-call.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { resolveSecret } from '../secret.ts';

/** One peer of a configuration, with its secrets by reference. */
export type PeerConfig = { readonly name: string } & { readonly [I in Identity]?: string };

/** Of a call's metadata or headers. */
export interface CallFacts {
  get(name: string): readonly (string | Buffer)[];
}

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();
const nobody = digestOf('');

/** Whom the stores of this process are passed on to, and by which secret each identity of theirs is known. */
export class PeerAccess {
  readonly #process: string;
  readonly #peers: ReadonlyMap<string, ReadonlyMap<Identity, Buffer>>;

  private constructor(process: string, peers: ReadonlyMap<string, ReadonlyMap<Identity, Buffer>>) {
    this.#process = process;
    this.#peers = peers;
  }

  /** Resolves the secrets once. `process`: this one, for messages, such as `gateway "g1"`. KEYSPACE_INVALID: a secret is missing, empty, or cannot be sent. */
  static async open(peers: readonly PeerConfig[], { env, process }: { readonly env: Readonly<Record<string, string | undefined>>; readonly process: string }): Promise<PeerAccess> {
    const known = new Map<string, ReadonlyMap<Identity, Buffer>>();
    for (const { name, ...references } of peers) {
      const digests = new Map<Identity, Buffer>();
      for (const [identity, reference] of Object.entries(references) as [Identity, string][]) {
        const what = `the secret of peer "${name}" as ${identity}`;
        const secret = await resolveSecret(reference, { env, what, process });
        if (!isBearer(secret)) throw new SwitchyardError('KEYSPACE_INVALID', `${what}, ${reference}, is not of visible ASCII characters without spaces`);
        digests.set(identity, digestOf(secret));
      }
      known.set(name, digests);
    }
    return new PeerAccess(process, known);
  }

  /** Nobody is known. */
  get isEmpty(): boolean {
    return this.#peers.size === 0;
  }

  /** Name of the peer that calls under one of these identities. STORE_LOGIN_REFUSED: it is not known, or not by this secret; which of the two is not told. */
  authorize(facts: CallFacts, ...identities: readonly [Identity, ...Identity[]]): string {
    const name = textOf(facts, PEER_KEY);
    const given = digestOf(textOf(facts, AUTHORIZATION_KEY).replace(/^Bearer /i, ''));
    let isKnown = false;
    for (const identity of identities) {
      const expected = this.#peers.get(name)?.get(identity);
      // Compared in any case, and digests only: how long it takes tells nothing of the secret.
      if (timingSafeEqual(given, expected ?? nobody) && expected !== undefined) isKnown = true;
    }
    if (isKnown) return name;
    const shown = name === '' ? 'a caller without a name' : `peer "${name.slice(0, 63)}"`;
    throw new SwitchyardError('STORE_LOGIN_REFUSED', `${this.#process} does not let in ${shown} as ${identities.join(' or ')}: it knows no such peer by that secret`, {
      fix: `give that peer and its secret to the peers of that process, or correct the credentials of the keyspace here`,
      metadata: { identity: identities[0], login: name.slice(0, 63), missing: 'login' },
    });
  }
}

const textOf = (facts: CallFacts, name: string): string => facts.get(name)[0]?.toString() ?? '';
