import { SwitchyardError } from '../../core/switchyard-error.ts';

/** The size of a page: `fallback` for 0, at most `most`. ARGUMENT_INVALID below 0. */
export function pageLimit(pageSize: number, fallback: number, most: number): number {
  if (pageSize < 0) throw new SwitchyardError('ARGUMENT_INVALID', 'page_size: must not be negative');
  return pageSize === 0 ? fallback : Math.min(pageSize, most);
}
