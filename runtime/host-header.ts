import { isIP } from 'node:net';

/**
 * Whether a request's Host header names us: an IP address, "localhost" or one of `names` (lower case), with or without a port. Any other name may be somebody's who let it lead to our address, so that a page of his in a browser
 * here could call us (DNS rebinding). A request without the header is no browser's.
 */
export function isOwnHost(header: string | undefined, names: readonly string[]): boolean {
  if (header === undefined) return true;
  const [, v6, other = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header.trim()) ?? [];
  if (v6 !== undefined) return isIP(v6) === 6;
  const name = other.toLowerCase().replace(/\.$/, '');
  return isIP(name) === 4 || name === 'localhost' || names.includes(name);
}
