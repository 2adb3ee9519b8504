import { type Position, position } from '../../../../core/ids.ts';
import { shorten } from '../../../../core/shorten.ts';
import { LogFault } from './log-fault.ts';

/** Name of one transaction (or statement that commits by itself) of a server's log: "domain-server-sequence". */
export interface Gtid {
  readonly domain: number;
  readonly server: number;
  readonly sequence: bigint;
}

const gtidPattern = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/;

/**
 * A place in a server's log: the last transaction of each domain. The log is one line; within it a domain's numbers only grow, and those of two domains say nothing of each other. Its text is the server's own, "0-1-15,7-2-3", in order of
 * domains.
 */
export class GtidPosition {
  readonly #last: Map<number, Gtid>;

  private constructor(last: Map<number, Gtid>) {
    this.#last = last;
  }

  /** STREAM_FAILED (metadata `problem` POSITION): it is none; somebody has changed the stream's row. Empty: the log's very beginning. */
  static parse(text: string): GtidPosition {
    const last = new Map<number, Gtid>();
    for (const part of text === '' ? [] : text.split(',')) {
      const [, domain = '', server = '', sequence = ''] = gtidPattern.exec(part.trim()) ?? [];
      if (domain === '') throw new LogFault('POSITION', `"${shorten(text)}" is no position in a log of MariaDB`);
      last.set(Number(domain), { domain: Number(domain), server: Number(server), sequence: BigInt(sequence) });
    }
    return new GtidPosition(last);
  }

  /** The transaction has been passed. */
  pass(gtid: Gtid): void {
    this.#last.set(gtid.domain, gtid);
  }

  /** Whether everything before the other place is before this one. */
  isAtOrBehind(other: GtidPosition): boolean {
    return [...other.#last.values()].every(({ domain, sequence }) => (this.#last.get(domain)?.sequence ?? -1n) >= sequence);
  }

  format(): Position {
    const inOrder = [...this.#last.values()].sort((a, b) => a.domain - b.domain);
    return position(inOrder.map(gtidText).join(','));
  }
}

export const gtidText = ({ domain, server, sequence }: Gtid): string => `${domain}-${server}-${sequence}`;
