import type { Identity } from '../core/keyspace.ts';

/** Who connects where, for messages. */
export interface Login {
  readonly keyspace: string;
  readonly place: string;
  readonly identity: Identity;
  readonly user: string;
  /** Where its password is found: the reference, never the value. */
  readonly secret: string;
  readonly openedBy: string;
}

/** The store of a login, as a part of a sentence. */
export const storeOf = ({ place, keyspace }: Login): string => `${place}, the store of keyspace "${keyspace}"`;
