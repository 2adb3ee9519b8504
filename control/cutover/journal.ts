import type { CutoverRecord, WorkflowDocument } from '../../core/workflow-document.ts';
import type { ControlDeps, SideName } from '../move.ts';
import { asSwitchyardError, backOffMs, within } from '../time-limit.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

const KEPT = 20;
const WRITE_LIMIT_MS = 2_000;
/** Notes are collected this long: a short hold is not to share its processor and Consul with its own journal. */
const COLLECT_MS = 50;

/**
 * Writes the record of one cutover into the workflow's document, one write at a time and always the newest state, without making the cutover wait: Consul may be slow or away during a hold.
 * A record is known by the time at which its cutover began.
 */
export class CutoverJournal {
  readonly #deps: ControlDeps;
  readonly #workflow: string;
  #waiting: CutoverRecord | null = null;
  #writing: Promise<void> | null = null;
  #began = false;

  constructor(deps: ControlDeps, workflow: string) {
    this.#deps = deps;
    this.#workflow = workflow;
  }

  /** Writes the record and waits for it. The first one also closes records that dead coordinators left in a settled state. */
  async write(record: CutoverRecord, signal: AbortSignal | null): Promise<void> {
    this.#waiting = null;
    await this.#writing;
    await this.#store(record, signal);
  }

  /** Has the record written soon; a later one may replace it before that. A failure is logged: the next write says more anyway. */
  note(record: CutoverRecord): void {
    if (!this.#began) return;
    this.#waiting = record;
    this.#writing ??= this.#drain();
  }

  /** Writes the last record, repeating for `limitMs`; whether it took. */
  async finish(record: CutoverRecord, limitMs: number): Promise<boolean> {
    const { clock, log } = this.#deps;
    const deadline = clock.monotonic() + limitMs;
    for (let round = 0; ; round += 1) {
      try {
        await this.write(record, null);
        return true;
      } catch (error) {
        const pauseMs = backOffMs(round, 20, 500);
        if (!asSwitchyardError(error).retryable || clock.monotonic() + pauseMs > deadline) {
          log.error({ err: error, workflow: this.#workflow, attempt: record.attempt }, 'the record of a cutover could not be written');
          return false;
        }
        await clock.sleep(pauseMs);
      }
    }
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting !== null) {
        await this.#deps.clock.sleep(COLLECT_MS);
        const record = this.#waiting;
        if (record === null) return;
        this.#waiting = null;
        await this.#store(record, null).catch((error: unknown) => this.#deps.log.warn({ err: error, workflow: this.#workflow }, 'a step of a cutover could not be journalled'));
      }
    } finally {
      this.#writing = null;
    }
  }

  async #store(record: CutoverRecord, signal: AbortSignal | null): Promise<void> {
    const { clock, topology } = this.#deps;
    const late = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'writing the journal took too long');
    const first = !this.#began;
    await within(clock, WRITE_LIMIT_MS, late, signal, (limited) => topology.updateWorkflow(this.#workflow, (document) => withRecord(document, record, first), limited));
    this.#began = true;
  }
}

/** The document with this record in it; null when it has nothing to change, such as a record that is long gone. */
export function withRecord(document: WorkflowDocument, record: CutoverRecord, first: boolean): WorkflowDocument | null {
  const index = document.cutovers.findIndex((entry) => entry.startedAt === record.startedAt && entry.to === record.to);
  if (index < 0 && !first) return null;
  const present = document.cutovers[index];
  // Somebody took this coordinator for dead and finished its work: what is known by now is more than an unfinished record.
  if (present !== undefined && present.outcome !== 'running' && record.outcome === 'running' && present.attempt === record.attempt) return null;
  const kept = present?.outcome === 'repaired' && record.outcome === 'switched' ? { ...record, outcome: present.outcome } : record;
  const others = first ? document.cutovers.map((entry) => closeLeft(entry, record.to)) : document.cutovers;
  const cutovers = index < 0 ? [...others, kept].slice(-KEPT) : others.map((entry, at) => (at === index ? kept : entry));
  const last = cutovers.at(-1) === kept;
  return { ...document, cutovers, state: last ? stateAfter(document, kept) : document.state };
}

/**
 * A record whose coordinator died before it wrote down how it ended. The new cutover begins from a settled state, so that one is over: it came to nothing if the new one wants the same side again, and was finished by a
 * repair if the new one leads back.
 */
function closeLeft(entry: CutoverRecord, to: SideName): CutoverRecord {
  if (entry.outcome !== 'running') return entry;
  return { ...entry, outcome: entry.to === to ? 'aborted' : 'repaired', message: entry.message ?? 'its coordinator ended without saying how' };
}

/** The state of a workflow once a cutover has ended so. */
export function stateAfter(document: WorkflowDocument, record: Pick<CutoverRecord, 'outcome' | 'to'>): WorkflowDocument['state'] {
  if (record.outcome !== 'switched' && record.outcome !== 'repaired') return document.state;
  if (document.state !== 'running' && document.state !== 'switched') return document.state;
  return record.to === 'target' ? 'switched' : 'running';
}
