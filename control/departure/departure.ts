import type { DataStore, FenceScope, StreamSpec } from '../../backends/backend.ts';
import type { Side } from '../move.ts';

/** A move out of a foreign service, whose store cannot fence, with both ends opened. Forward only. The source is read as gateways read it; there is nothing else of it. */
export interface Departure {
  readonly name: string;
  readonly tables: readonly string[];
  readonly source: { readonly keyspace: string; readonly kind: string; readonly store: DataStore };
  readonly target: Side;
}

/** The tables in the target's store, as its transitions ask for them. */
export const targetScope = ({ name, tables, source }: Departure): FenceScope => ({ workflow: name, peer: source.keyspace, tables });

/** The row in the target by which one player at a time changes its tables. Nothing flows in it: what it brings is found by comparing. */
export const streamOf = ({ name, tables }: Departure): StreamSpec => ({ id: `${name}.forward`, workflow: name, tables });

/** The stream's position, which says nothing. */
export const COMPARED = 'compared';
