import type { CatchUpState, FenceSession, SequenceState } from '../../../backends/backend.ts';
import type { FenceRow, FenceState } from '../../../core/fence.ts';
import { attempt } from '../../../core/ids.ts';
import { type RulesDocument, rulesDocumentSchema } from '../../../core/rules-document.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { cutoverLimitsSchema } from '../../../core/workflow-document.ts';
import { directionTo } from '../../../control/cutover/direction.ts';
import { fenceLinks } from '../../../control/cutover/fence-link.ts';
import type { GatewayVersions } from '../../../control/cutover/gateway-versions.ts';
import type { HoldContext } from '../../../control/cutover/hold-context.ts';
import type { CutoverStepName } from '../../../control/cutover/steps.ts';
import { CutoverTrace } from '../../../control/cutover/trace.ts';
import type { ControlDeps, Move, SideName } from '../../../control/move.ts';
import { createLogger } from '../../../runtime/logger.ts';
import type { RulesChange } from '../../../topo/topology.ts';
import { HandClock } from './hand-clock.ts';

const keyspaceOf = { source: 'old', target: 'new' } as const;
const other = { source: 'target', target: 'source' } as const;
export const conflict = (): SwitchyardError => new SwitchyardError('FENCE_CONFLICT', 'not in the state asked for');
export const lost = (): SwitchyardError => new SwitchyardError('STORE_UNAVAILABLE', 'the connection was lost');

type Step = 'prepare' | 'fence' | 'commit' | 'abort' | 'ready' | 'close' | 'open';

/** One store of a move, played: its rows change as the real ones do. What `trouble` says of a step comes first: an error, before or after the step took. */
export class PlayedStore {
  state: FenceState;
  attempt = 0;
  /** Null once the workflow has given its tables back. */
  owner: string | null = 'move';
  marker = 0;
  /** The highest attempt that has begun to prepare to leave the store. */
  prepared = 0;
  sequences: readonly SequenceState[] = [];
  /** How long an answer takes. */
  answerMs: Partial<Record<Step | 'catchUp' | 'sequences' | 'fenceRows', number>> = {};
  /** For the next calls of a step, in order: null lets it be done. */
  readonly trouble: Partial<Record<Step | 'catchUp' | 'sequences' | 'fenceRows', (null | { readonly error: Error; readonly done?: boolean })[]>> = {};
  readonly calls: string[] = [];
  /** How long each fence was to wait for its locks. */
  readonly lockTimeoutsMs: number[] = [];
  readonly #side: SideName;
  readonly #tables: readonly string[];
  readonly #clock: HandClock;

  constructor(side: SideName, tables: readonly string[], clock: HandClock) {
    this.#side = side;
    this.#tables = tables;
    this.#clock = clock;
    this.state = side === 'source' ? 'OPEN' : 'CLOSED';
  }

  rows(): readonly FenceRow[] {
    return this.#tables.map((table) => ({ table, state: this.state, attempt: attempt(this.attempt), peer: keyspaceOf[other[this.#side]], workflow: this.owner }));
  }

  session(): FenceSession {
    const prepare = (at: number): void => {
      if (this.prepared > at) throw new SwitchyardError('LOCK_TAKEN', 'a later attempt has begun to prepare');
      this.prepared = at;
    };
    const step = (name: Step, from: readonly FenceState[], to: FenceState) => (at: number) =>
      this.#do(name, () => {
        if (this.owner === null) throw conflict();
        if (this.state === to && this.attempt === at) return;
        if (name === 'fence') prepare(at);
        if (!from.includes(this.state) || (name === 'abort' || name === 'commit' || name === 'close' ? this.attempt !== at : this.attempt >= at)) throw conflict();
        this.state = to;
        if (name !== 'ready') this.attempt = at;
      });
    return {
      prepare: (at: number) => this.#do('prepare', () => prepare(at)),
      fence: (at: number, lockTimeoutMs: number) => {
        this.lockTimeoutsMs.push(lockTimeoutMs);
        return step('fence', ['OPEN'], 'FROZEN')(at);
      },
      commit: step('commit', ['FROZEN'], 'SEALED'),
      abort: step('abort', ['FROZEN'], 'OPEN'),
      ready: (_: unknown, at: number) =>
        this.#do('ready', () => {
          if (this.state !== 'READABLE' && (this.state !== 'CLOSED' || this.attempt >= at)) throw conflict();
          this.state = 'READABLE';
        }),
      close: step('close', ['SEALED'], 'CLOSED'),
      open: (_: unknown, at: number) => step('open', ['READABLE'], 'OPEN')(at),
      catchUp: () => this.#do('catchUp', (): CatchUpState => ({ marker: attempt(this.marker), fences: this.rows() })),
      sequences: () => this.#do('sequences', () => this.sequences),
      fenceRows: () => this.#do('fenceRows', () => this.rows()),
      [Symbol.asyncDispose]: async () => {},
    } as unknown as FenceSession;
  }

  async #do<T>(name: Step | 'catchUp' | 'sequences' | 'fenceRows', act: () => T): Promise<T> {
    this.calls.push(name);
    const trouble = this.trouble[name]?.shift() ?? null;
    const ms = this.answerMs[name] ?? 0;
    if (ms > 0) await this.#clock.sleep(ms);
    if (trouble !== null && trouble.done !== true) throw trouble.error;
    const result = act();
    if (trouble !== null) throw trouble.error;
    return result;
  }
}

/** A cutover's surroundings: two played stores, rules that are kept in memory, a clock that is moved by hand. */
export class CutoverRig {
  readonly clock = new HandClock();
  readonly source: PlayedStore;
  readonly target: PlayedStore;
  readonly move: Move;
  readonly deps: ControlDeps;
  readonly notes: string[] = [];
  readonly stop = new AbortController();
  rules: RulesDocument;
  /** For the next writes of the rules, in order. */
  readonly rulesTrouble: (null | Error | 'silent')[] = [];
  readonly written: RulesDocument[] = [];

  constructor(tables: readonly string[] = ['orders', 'lines']) {
    this.source = new PlayedStore('source', tables, this.clock);
    this.target = new PlayedStore('target', tables, this.clock);
    const side = (name: SideName) => ({ name, keyspace: keyspaceOf[name], kind: 'played', owner: { openFence: async () => this[name].session() } });
    this.move = { name: 'move', tables: tables, source: side('source'), target: side('target') } as unknown as Move;
    const movement = { workflow: 'move', source: 'old', target: 'new', want: 'target' };
    this.rules = rulesDocumentSchema.parse({
      version: 1,
      nonce: 'n',
      changedBy: 't',
      changedAt: 'now',
      defaultKeyspace: 'old',
      tables: Object.fromEntries(tables.map((table) => [table, { primary: 'old', movement }])),
    });
    const topology = {
      readRules: async () => ({ kind: 'valid', document: this.rules, index: this.rules.version }),
      updateRules: (_: unknown, change: (current: RulesDocument) => RulesChange | null, signal: AbortSignal) => this.#update(change, signal),
    };
    this.deps = { topology, clock: this.clock, log: createLogger('test', 'silent'), newId: () => 'id', controlId: 'control' } as unknown as ControlDeps;
  }

  /** A hold that is to lead to `to` at this attempt. */
  hold(to: SideName, at: number, more: { readonly holdBudgetMs?: number } = {}, onStep: (name: CutoverStepName) => void = () => {}): HoldContext {
    const gateways = { expected: 2, reached: async () => 2 } as unknown as GatewayVersions;
    return {
      direction: directionTo(this.move, to),
      attempt: attempt(at),
      limits: cutoverLimitsSchema.parse(more),
      links: fenceLinks(this.move, this.deps),
      gateways,
      trace: new CutoverTrace(this.clock, { workflow: 'move', from: 'old', to: 'new', tables: 2 }, async (name) => onStep(name)),
      deps: this.deps,
      signal: this.stop.signal,
    };
  }

  async #update(change: (current: RulesDocument) => RulesChange | null, signal: AbortSignal): Promise<RulesDocument> {
    const trouble = this.rulesTrouble.shift() ?? null;
    if (trouble === 'silent') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    if (trouble instanceof Error) throw trouble;
    const changed = change(this.rules);
    if (changed === null) return this.rules;
    this.rules = rulesDocumentSchema.parse({ ...this.rules, ...changed, version: this.rules.version + 1 });
    this.written.push(this.rules);
    return this.rules;
  }
}
