import { SwitchyardError } from '../core/switchyard-error.ts';

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._:@-]{0,254}$/;
const LOCK = /^[A-Za-z0-9_][A-Za-z0-9._:@/-]{0,254}$/;

/** Where everything of one cluster lies in Consul KV. Prefixes end in a slash, keys do not. */
export class ConsulKeys {
  /** The routing rules: one document. */
  readonly rules: string;
  /** Highest version in the history and the entry written last: saves listing the history at every change. */
  readonly recorded: string;
  /** Compressed documents that were current once. */
  readonly history: string;
  readonly keyspaces: string;
  readonly workflows: string;
  readonly gateways: string;
  /** The cluster's counter of switches. */
  readonly attempt: string;
  readonly #locks: string;

  constructor(cluster: string) {
    const root = `switchyard/${checkedName('cluster', cluster, NAME)}/`;
    this.rules = `${root}rules`;
    this.recorded = `${root}recorded`;
    this.history = `${root}history/`;
    this.keyspaces = `${root}keyspaces/`;
    this.workflows = `${root}workflows/`;
    this.gateways = `${root}gateways/`;
    this.attempt = `${root}attempt`;
    this.#locks = `${root}locks/`;
  }

  /** ARGUMENT_INVALID for a name that cannot be a key, here and below. */
  named(prefix: string, name: string): string {
    return prefix + checkedName('name', name, NAME);
  }

  lock(name: string): string {
    return this.#locks + checkedName('lock', name, LOCK);
  }
}

function checkedName(what: string, name: string, pattern: RegExp): string {
  if (pattern.test(name)) return name;
  throw new SwitchyardError(
    'ARGUMENT_INVALID',
    `${what} ${JSON.stringify(name)} must begin with a letter, a digit or _ and may hold letters, digits and . _ : @ - only (255 at most)`,
  );
}
