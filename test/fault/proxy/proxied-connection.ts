import { connect, type Socket } from 'node:net';
import type { Link } from './link.ts';
import type { Way } from './treatment.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

/** One direction of a connection: its pieces in order, those that are late included. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  /** When the piece before arrives: none overtakes it. */
  #lastMs = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
  }

  /** Writes it after `delayMs`. */
  send(bytes: Buffer, delayMs: number): void {
    this.#inTurn(delayMs, () => {
      if (this.#to.destroyed || this.#to.write(bytes)) return;
      this.#from.pause();
      this.#to.once('drain', () => this.#from.resume());
    });
  }

  /** Behind everything that was sent. */
  end(): void {
    this.#inTurn(0, () => this.#to.end());
  }

  #inTurn(delayMs: number, act: () => void): void {
    const nowMs = performance.now();
    this.#lastMs = Math.max(this.#lastMs, nowMs + delayMs);
    if (this.#lastMs <= nowMs && this.#waiting.length === 0) {
      act();
      return;
    }
    this.#waiting.push(act);
    // Timers of different lengths that end at once come in any order; each brings whatever is first.
    setTimeout(() => this.#waiting.shift()?.(), this.#lastMs - nowMs);
  }
}

/** A connection through a proxy, from whoever connected (near) to whom it is meant for (far), as its link's treatment says. */
export class ProxiedConnection {
  readonly #near: Socket;
  readonly #link: Link;
  readonly #far: Socket | null;
  readonly #pipes: Readonly<Record<Way, Pipe>> | null;
  #dead = false;

  /** `first`: what has been read of it already. */
  constructor(near: Socket, target: Address, link: Link, first: Buffer) {
    this.#near = near;
    this.#link = link;
    link.add(this);
    near.on('error', () => {}); // told by "close"
    const { kind } = link.treatment;
    if (kind === 'cut' || kind === 'half-open') {
      this.#far = null;
      this.#pipes = null;
      near.on('close', () => link.delete(this));
      if (kind === 'cut') near.resetAndDestroy();
      else this.#die();
      return;
    }
    const far = connect({ ...target, noDelay: true });
    this.#far = far;
    this.#pipes = { forth: new Pipe(near, far), back: new Pipe(far, near) };
    far.on('error', () => {});
    this.#join('forth', near, far);
    this.#join('back', far, near);
    if (first.length > 0) this.#pass('forth', first);
    this.changed();
  }

  /** The link is treated otherwise than before. */
  changed(): void {
    const { treatment } = this.#link;
    const [near, far] = [this.#near, this.#far];
    if (this.#dead || far === null) return;
    if (treatment.kind === 'cut') {
      near.resetAndDestroy();
      far.resetAndDestroy();
      return;
    }
    if (treatment.kind === 'half-open') {
      this.#die();
      // The end of this one does not reach the other.
      (treatment.gone === 'near' ? near : far).resetAndDestroy();
      return;
    }
    const held = (way: Way): boolean => treatment.kind === 'hold' && (treatment.way === way || treatment.way === 'both');
    for (const [way, socket] of [
      ['forth', near],
      ['back', far],
    ] as const) {
      if (held(way)) socket.pause();
      else socket.resume();
    }
  }

  /** Breaks it, dead or not. */
  reset(): void {
    this.#near.resetAndDestroy();
    this.#far?.resetAndDestroy();
  }

  /** What comes from now on goes nowhere, and nobody is told. */
  #die(): void {
    this.#dead = true;
    for (const socket of [this.#near, this.#far]) {
      socket?.removeAllListeners('data');
      socket?.resume();
    }
  }

  #join(way: Way, from: Socket, to: Socket): void {
    from.on('data', (bytes: Buffer) => this.#pass(way, bytes));
    from.on('end', () => {
      if (!this.#dead) this.#pipes?.[way].end();
    });
    from.on('close', () => {
      if (!this.#dead) to.destroy();
      if (this.#near.destroyed && this.#far?.destroyed !== false) this.#link.delete(this);
    });
  }

  #pass(way: Way, bytes: Buffer): void {
    const { treatment, dice } = this.#link;
    if (treatment.kind === 'reset' && dice.roll(treatment.oneIn) === 0) {
      // What was written is on its way before the reset is.
      const [, to] = way === 'forth' ? [this.#near, this.#far] : [this.#far, this.#near];
      to?.write(bytes.subarray(0, dice.roll(bytes.length)), () => this.reset());
      return;
    }
    const delayMs = treatment.kind === 'delay' ? treatment.leastMs + dice.roll(treatment.mostMs - treatment.leastMs + 1) : 0;
    this.#pipes?.[way].send(bytes, delayMs);
  }
}
