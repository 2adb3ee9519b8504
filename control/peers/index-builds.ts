import type { FenceScope, TableDefinition } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { PeerStores } from './peer-stores.ts';

/** Of one call: a build takes longer than a call may, so that it is asked after. */
const waitMs = 10_000;
/** What nobody asks after for so long is given up. */
const forgottenMs = 15_000;

interface Build {
  readonly controller: AbortController;
  /** Why it failed; null: it did not. Never rejects. */
  readonly ended: Promise<{ readonly failure: unknown } | null>;
  callers: number;
  cancelForgetting: () => void;
}

/** Indexes that peers have asked for: they go on being made between the calls, of which each asks whether they are there. */
export class PeerIndexBuilds implements AsyncDisposable {
  readonly #stores: PeerStores;
  readonly #clock: Clock;
  /** By keyspace and scope. */
  readonly #builds = new Map<string, Build>();

  constructor(stores: PeerStores, clock: Clock) {
    this.#stores = stores;
    this.#clock = clock;
  }

  /** Begins to make them where nobody does yet, and waits for a while; whether they are there. Throws what the build has failed with, once: who asks again begins anew. */
  async ask(keyspace: string, scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<boolean> {
    const key = JSON.stringify([keyspace, scope.workflow, scope.peer, scope.tables]);
    const build = this.#builds.get(key) ?? this.#begin(key, keyspace, scope, definitions);
    build.cancelForgetting();
    build.callers += 1;
    const over = new AbortController();
    try {
      const wait = this.#clock.sleep(waitMs, AbortSignal.any([signal, over.signal])).then(() => 'not yet' as const);
      const ended = await Promise.race([build.ended, wait]);
      if (ended === 'not yet') return false;
      this.#forget(key, build);
      if (ended !== null) throw ended.failure;
      return true;
    } finally {
      over.abort();
      build.callers -= 1;
      if (build.callers === 0) build.cancelForgetting = this.#clock.after(forgottenMs, () => this.#forget(key, build));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const builds = [...this.#builds];
    for (const [key, build] of builds) this.#forget(key, build);
    await Promise.all(builds.map(([, { ended }]) => ended));
  }

  #begin(key: string, keyspace: string, scope: FenceScope, definitions: readonly TableDefinition[]): Build {
    const controller = new AbortController();
    const ended = this.#stores
      .owner(keyspace, (store) => store.createIndexes(scope, definitions, controller.signal))
      .then(
        () => null,
        (failure: unknown) => ({ failure }),
      );
    const build: Build = { controller, ended, callers: 0, cancelForgetting: () => {} };
    this.#builds.set(key, build);
    // What was made while nobody asks is no answer to whoever comes later, whose tables may be others. To ask again is cheap.
    void ended.then((failed) => {
      if (failed === null && build.callers === 0) this.#forget(key, build);
    });
    return build;
  }

  #forget(key: string, build: Build): void {
    build.cancelForgetting();
    build.controller.abort(new SwitchyardError('CANCELLED', 'nobody asks for these indexes any more'));
    if (this.#builds.get(key) === build) this.#builds.delete(key);
  }
}
