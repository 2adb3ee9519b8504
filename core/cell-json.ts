import type { Cell } from './cell.ts';
import { SwitchyardError } from './switchyard-error.ts';

type Json = null | boolean | string | { readonly n: string } | { readonly i: string } | { readonly x: string } | readonly Json[];

/** A key's cells as a text that needs no schema to be read again and loses nothing. */
export function keyToJson(key: readonly Cell[]): string {
  return JSON.stringify(key.map(toJson));
}

/** The reverse of `keyToJson`. INTERNAL: not such a text. */
export function keyFromJson(text: string): readonly Cell[] {
  const json = JSON.parse(text) as Json;
  if (!Array.isArray(json)) throw new SwitchyardError('INTERNAL', `"${text}" is no saved key`);
  return (json as readonly Json[]).map(fromJson);
}

function toJson(cell: Cell): Json {
  if (cell === null || typeof cell === 'boolean' || typeof cell === 'string') return cell;
  if (typeof cell === 'number') return { n: Object.is(cell, -0) ? '-0' : String(cell) };
  if (typeof cell === 'bigint') return { i: String(cell) };
  if (cell instanceof Uint8Array) return { x: Buffer.from(cell).toString('hex') };
  return cell.map(toJson);
}

function fromJson(json: Json): Cell {
  if (json === null || typeof json === 'boolean' || typeof json === 'string') return json;
  if ('n' in json) return Number(json.n);
  if ('i' in json) return BigInt(json.i);
  if ('x' in json) return new Uint8Array(Buffer.from(json.x, 'hex'));
  return json.map(fromJson);
}
