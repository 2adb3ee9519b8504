import { type RulesDocument, rulesDocumentSchema } from '../core/rules-document.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import type { WorkflowDocument } from '../core/workflow-document.ts';
import { watchItems } from './blocking-watch.ts';
import { outcomeUnknown } from './compare-and-set.ts';
import { CONSISTENT, type KvWrite } from './kv-client.ts';
import { describeIssues, encodeDocument } from './document-codec.ts';
import type { KvDocuments } from './kv-documents.ts';
import { entryName, type Recorded, RulesHistory } from './rules-history.ts';
import { highestApplied, rulesSnapshot } from './rules-reading.ts';
import { withLimit } from './time-limit.ts';
import type { ChangeNote, HistoryEntry, RulesChange, RulesSnapshot, WorkflowWrite } from './topology.ts';
import { CHANGE_LIMIT_MS, CHANGE_TRIES, type TopologyContext } from './topology-context.ts';

/** Everything that a change of the rules is decided on, as of one moment. */
interface RulesState {
  readonly rules: RulesSnapshot;
  readonly recorded: Recorded;
  /** Highest version of document, history and gateways' reports. */
  readonly version: number;
  /** The unanswered write that was found to be done. */
  readonly landed: RulesDocument | null;
}

/** What to do in a state: write this, or nothing because `done` is in force. */
type Decision = { readonly change: RulesChange; readonly reason: string } | { readonly done: RulesDocument };
type Decide = (state: RulesState, signal: AbortSignal) => Promise<Decision>;

/** One change on its way to being written, over all its tries. */
interface Attempt {
  readonly by: string;
  readonly decide: Decide;
  readonly also: readonly KvWrite[];
  /** Writes whose outcome is unknown, by their history entry. */
  readonly unanswered: Map<string, RulesDocument>;
  /** Entries of foreign documents that are known to be in the history. */
  readonly kept: Set<string>;
}

interface Refusal {
  readonly state: RulesState;
  readonly message: string;
  readonly onlyAlso: boolean;
}

/**
 * The rules document. A change takes two round trips: one consistent read transaction of all that it depends on, and one write transaction of document, history entry and whatever must change with it, each under a
 * compare-and-set. A write that was not answered is looked for in the history: its entry is there exactly if the write was done. As long as the document has not changed the write may still be on its way; the next try then
 * writes under the same index, so that at most one of the two can take.
 */
export class RulesStore {
  readonly history: RulesHistory;
  readonly #context: TopologyContext;
  readonly #workflows: KvDocuments<WorkflowDocument>;

  constructor(context: TopologyContext, workflows: KvDocuments<WorkflowDocument>) {
    this.#context = context;
    this.#workflows = workflows;
    this.history = new RulesHistory(context);
  }

  async read(signal: AbortSignal): Promise<RulesSnapshot> {
    const { items } = await this.#context.client.get(this.#context.keys.rules, CONSISTENT, signal);
    return rulesSnapshot(items[0]);
  }

  async *watch(signal: AbortSignal, onFault: ((error: Error) => void) | undefined): AsyncGenerator<RulesSnapshot, void, undefined> {
    const { client, keys } = this.#context;
    for await (const items of watchItems(this.#context, (mode, limited) => client.get(keys.rules, mode, limited), signal, onFault)) yield rulesSnapshot(items[0]);
  }

  update(note: ChangeNote, change: (current: RulesDocument) => RulesChange | null, signal: AbortSignal, also: readonly WorkflowWrite[]): Promise<RulesDocument> {
    return this.#write(note.by, also, signal, async (state, limited) => {
      if (state.rules.kind === 'missing') throw new SwitchyardError('RULES_MISSING', `${this.#context.keys.rules} does not exist`);
      const base = state.rules.kind === 'valid' ? state.rules.document : await this.#lastGood(state.rules.message, limited);
      const wanted = change(base);
      return wanted === null ? { done: base } : { change: wanted, reason: note.reason };
    });
  }

  initial(note: ChangeNote, defaultKeyspace: string, signal: AbortSignal): Promise<RulesDocument> {
    return this.#write(note.by, [], signal, async (state, limited) => {
      if (state.rules.kind === 'valid') return { done: state.rules.document };
      if (state.rules.kind === 'invalid') return { done: await this.#lastGood(state.rules.message, limited) };
      // A key that was deleted by mistake must not come back as empty rules.
      const lost = (await this.history.list(1, null, limited))[0];
      return lost === undefined ? { change: { defaultKeyspace, keyspaces: {}, tables: {} }, reason: note.reason } : restored(lost, note);
    });
  }

  async restore(note: ChangeNote, signal: AbortSignal): Promise<RulesDocument | null> {
    const lost = (await this.history.list(1, null, signal))[0];
    if (lost === undefined) return null;
    return this.#write(note.by, [], signal, async (state, limited) => {
      if (state.rules.kind === 'valid') return { done: state.rules.document };
      if (state.rules.kind === 'invalid') return { done: await this.#lastGood(state.rules.message, limited) };
      return restored((await this.history.list(1, null, limited))[0] ?? lost, note);
    });
  }

  async #lastGood(message: string, signal: AbortSignal): Promise<RulesDocument> {
    const good = (await this.history.list(1, null, signal))[0];
    if (good === undefined) throw new SwitchyardError('RULES_INVALID', `${this.#context.keys.rules} is invalid and there is no earlier document: ${message}`);
    return good.document;
  }

  #write(by: string, also: readonly WorkflowWrite[], signal: AbortSignal, decide: Decide): Promise<RulesDocument> {
    const attempt: Attempt = { by, decide, also: also.map((write) => this.#workflowWrite(write)), unanswered: new Map(), kept: new Set() };
    return withLimit(this.#context.clock, CHANGE_LIMIT_MS, signal, async (limited) => {
      try {
        return await this.#tryUntilWritten(attempt, limited);
      } catch (error) {
        throw attempt.unanswered.size > 0 ? outcomeUnknown(error, 'the new rules document') : error;
      }
    });
  }

  async #tryUntilWritten(attempt: Attempt, signal: AbortSignal): Promise<RulesDocument> {
    let refusal: Refusal | null = null;
    for (let tries = 1; tries <= CHANGE_TRIES; tries += 1) {
      const state = await this.#state(attempt, signal);
      if (state.landed !== null) return state.rules.kind === 'valid' ? state.rules.document : state.landed;
      if (refusal !== null) assertWorthTrying(refusal, state);
      const decision = await attempt.decide(state, signal);
      if ('done' in decision) return decision.done;
      const document = this.#compose(attempt.by, decision, state);
      const outcome = await this.#send(attempt, document, state, signal);
      if (outcome === 'written') return document;
      if (outcome === 'unanswered') {
        await this.#context.faultBackOff.pause(tries, signal);
      } else {
        refusal = outcome;
        await this.#context.conflictBackOff.pause(tries, signal);
      }
    }
    throw new SwitchyardError('TOPOLOGY_CONFLICT', `the rules could not be changed in ${CHANGE_TRIES} tries${refusal === null ? '' : `: ${refusal.message}`}`);
  }

  async #send(attempt: Attempt, document: RulesDocument, state: RulesState, signal: AbortSignal): Promise<'written' | 'unanswered' | Refusal> {
    const rules: KvWrite = { verb: 'cas', key: this.#context.keys.rules, value: encodeDocument(document), index: state.rules.index };
    const operations = [rules, ...this.history.writes(document, false, state.recorded), ...attempt.also];
    const firstAlso = operations.length - attempt.also.length;
    try {
      const outcome = await this.#context.client.write(operations, signal);
      if (outcome.kind === 'written') return 'written';
      return { state, message: outcome.message, onlyAlso: outcome.operations.every((position) => position >= firstAlso) };
    } catch (error) {
      if (!signal.aborted && !hasReason(error, 'TOPOLOGY_UNAVAILABLE')) throw error;
      attempt.unanswered.set(entryName(document), document);
      if (signal.aborted) throw error;
      return 'unanswered';
    }
  }

  #compose(by: string, decision: { readonly change: RulesChange; readonly reason: string }, state: RulesState): RulesDocument {
    const { defaultKeyspace, keyspaces, tables } = decision.change;
    const changedAt = new Date(this.#context.clock.now()).toISOString();
    const document = { version: state.version + 1, nonce: this.#context.newNonce(), changedBy: by, changedAt, reason: decision.reason, defaultKeyspace, keyspaces, tables };
    const parsed = rulesDocumentSchema.safeParse(document);
    if (!parsed.success) throw new SwitchyardError('RULES_INVALID', describeIssues(parsed.error));
    return parsed.data;
  }

  /** Reads until it succeeds while a write is unanswered; fails at once before the first. A foreign document is put into the history on the way. */
  async #state(attempt: Attempt, signal: AbortSignal): Promise<RulesState> {
    for (let failures = 0; ; ) {
      try {
        const state = await this.#readState(attempt, signal);
        const foreign = state.rules.kind === 'valid' ? entryName(state.rules.document) : null;
        if (state.landed !== null || state.rules.kind !== 'valid' || foreign === null || foreign === state.recorded.entry || attempt.kept.has(foreign)) return state;
        await this.history.recordExternal(state.rules.document, signal);
        attempt.kept.add(foreign);
      } catch (error) {
        if (attempt.unanswered.size === 0 || signal.aborted || !hasReason(error, 'TOPOLOGY_UNAVAILABLE')) throw error;
        failures += 1;
        await this.#context.faultBackOff.pause(failures, signal);
      }
    }
  }

  async #readState(attempt: Attempt, signal: AbortSignal): Promise<RulesState> {
    const { client, keys } = this.#context;
    const snapshot = await client.snapshot([keys.rules, keys.recorded, keys.gateways, ...[...attempt.unanswered.keys()].map((entry) => this.history.keyOf(entry))], signal);
    const item = snapshot.get(keys.rules);
    // A snapshot leaves out what may not be read; asking for the key itself is refused then.
    if (item === undefined) await client.get(keys.rules, CONSISTENT, signal);
    const rules = rulesSnapshot(item);
    const recorded = await this.history.recorded(snapshot, signal);
    const applied = highestApplied([...snapshot.values()].filter((found) => found.key.startsWith(keys.gateways)));
    const current = rules.kind === 'valid' ? rules.document.version : rules.kind === 'invalid' ? rules.version : 0;
    const landed = [...attempt.unanswered].find(([entry]) => snapshot.has(this.history.keyOf(entry)));
    return { rules, recorded, version: Math.max(current, recorded.version, applied), landed: landed?.[1] ?? null };
  }

  #workflowWrite({ document, index }: WorkflowWrite): KvWrite {
    const value = this.#workflows.encode({ ...document, nonce: this.#context.newNonce() });
    return { verb: 'cas', key: this.#workflows.keyOf(document.name), value, index };
  }
}

function restored({ document }: HistoryEntry, { reason }: ChangeNote): Decision {
  return { change: document, reason: `${reason} (the key was missing: version ${document.version} restored)`.slice(-1024) };
}

/** A refused write is worth another try when what it was written against has changed, and not when only a document that came with it has. */
function assertWorthTrying(refusal: Refusal, state: RulesState): void {
  if (refusal.onlyAlso) throw new SwitchyardError('TOPOLOGY_CONFLICT', `a workflow document that should change with the rules was changed meanwhile: ${refusal.message}`);
  const unchanged = state.rules.index === refusal.state.rules.index && state.recorded.index === refusal.state.recorded.index;
  if (unchanged) throw new SwitchyardError('TOPOLOGY_DENIED', `Consul refuses the new rules although nobody changed them: ${refusal.message}`);
}
