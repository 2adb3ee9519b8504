import { SwitchyardError } from '../../core/switchyard-error.ts';

/* Numbers of a peer's request as ours. */

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** A number of 64 bits as one of ours. ARGUMENT_INVALID names the field. */
export function countOf(value: bigint, field: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw argument(`${field}: got ${value}`);
  return Number(value);
}

/** How many of something are asked for. ARGUMENT_INVALID: fewer than one, which some stores take for all there are, or more than `most`. */
export function limitOf(limit: number, most = Number.POSITIVE_INFINITY): number {
  if (limit >= 1 && limit <= most) return limit;
  throw argument(`limit: got ${limit}; must be ${Number.isFinite(most) ? `1 to ${most}` : '1 or more'}`);
}
