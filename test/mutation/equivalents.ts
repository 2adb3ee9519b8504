// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what is quoted here is code

/** A mutant that no test should tell from the code: nothing that anybody could see, or that is promised, depends on the difference. */
export interface Equivalent {
  /** The lines that it changes, on one line. */
  readonly was: string;
  readonly is: string;
  readonly why: string;
}

const exactly = 'only tells apart what happens in exactly that millisecond, of which nothing is promised';
const narrowing = 'is there for the types: another kind of view has neither state nor attempt, and the comparison that follows fails alike';
const keptForEver = 'a row once made is kept for ever: that a look sees none changes nothing that is known';

/** By file. A run fails when a mutant survives that is not here, and when one is here that does not survive. */
export const equivalents: Readonly<Record<string, readonly Equivalent[]>> = {
  'control/cutover/decision.ts': [
    {
      was: "if (clock.monotonic() + pauseMs > begunMs + TAKE_BACK_LIMIT_MS) return 'unknown';",
      is: "if (clock.monotonic() + pauseMs >= begunMs + TAKE_BACK_LIMIT_MS) return 'unknown';",
      why: exactly,
    },
    {
      was: "if (isState(view, 'OPEN') && view.attempt < attempt) return 'never fenced';",
      is: "if (isState(view, 'OPEN') && view.attempt <= attempt) return 'never fenced';",
      why: 'OPEN at the attempt itself has been answered the line before',
    },
    {
      was: "if (clock.monotonic() + pauseMs > deadlineMs || (hasReason(error, 'FENCE_CONFLICT') && round >= 3)) throw error;",
      is: "if (clock.monotonic() + pauseMs >= deadlineMs || (hasReason(error, 'FENCE_CONFLICT') && round >= 3)) throw error;",
      why: exactly,
    },
  ],
  'control/cutover/hold.ts': [
    {
      was: 'const wanted = { holdMs, attempt, ...(traceparent === undefined ? {} : { traceparent }) };',
      is: 'const wanted = { holdMs, attempt, ...(false ? {} : { traceparent }) };',
      why: 'a member that is undefined is not written to a JSON document',
    },
    {
      was: 'if (lockTimeoutMs < LEAST_LOCK_TIMEOUT_MS) throw failure;',
      is: 'if (lockTimeoutMs <= LEAST_LOCK_TIMEOUT_MS) throw failure;',
      why: exactly,
    },
  ],
  'control/cutover/repair-decision.ts': [
    { was: "if (left.kind !== 'rows') return null;", is: 'if (false) return null;', why: 'is there for the types: what is not rows has been answered before' },
    {
      was: "const enteredLower = entered.kind === 'rows' && entered.attempt < left.attempt;",
      is: 'const enteredLower = true && entered.attempt < left.attempt;',
      why: narrowing,
    },
    { was: "if (open.kind !== 'rows' || open.state !== 'OPEN') continue;", is: "if (false || open.state !== 'OPEN') continue;", why: narrowing },
  ],
  'control/cutover/direction.ts': [
    {
      was: "export const isAt = (view: SideView, state: FenceState, attempt: number): boolean => view.kind === 'rows' && view.state === state && view.attempt === attempt && view.even;",
      is: 'export const isAt = (view: SideView, state: FenceState, attempt: number): boolean => true && view.state === state && view.attempt === attempt && view.even;',
      why: narrowing,
    },
    {
      was: "export const isState = (view: SideView, ...states: readonly FenceState[]): boolean => view.kind === 'rows' && states.includes(view.state);",
      is: 'export const isState = (view: SideView, ...states: readonly FenceState[]): boolean => true && states.includes(view.state);',
      why: narrowing,
    },
  ],
  'control/cutover/rules-change.ts': [
    {
      was: 'const keys = [...names, ...Object.keys(document.tables).filter((key) => document.tables[key]?.names.some((name) => names.includes(name)))];',
      is: 'const keys = [...names, ...Object.keys(document.tables).filter((key) => document.tables[key].names.some((name) => names.includes(name)))];',
      why: 'is there for the types: the keys are those of the document',
    },
    {
      was: 'if (rule.writes === \'held\') return `writes of "${key}" are held for attempt ${rule.hold?.attempt ?? 0}`;',
      is: 'if (rule.writes === \'held\') return `writes of "${key}" are held for attempt ${rule.hold.attempt ?? 0}`;',
      why: 'is there for the types: a document is only read with a hold where writes are held',
    },
  ],
  'gateway/rules/fence-view.ts': [
    { was: 'if (this.#byPlace.size === 0) return null;', is: 'if (false) return null;', why: 'only quicker: nothing is found where nothing is' },
    {
      was: "signal.addEventListener('abort', onAbort, { once: true });",
      is: "signal.addEventListener('abort', onAbort, { once: false });",
      why: 'it is taken away when the look is over',
    },
    {
      was: "if (fenced !== undefined && row !== undefined && (purpose === 'read' ? mayRead(row.state) : row.state === 'OPEN' && row.attempt >= fenced.attempt)) return true;",
      is: "if (true && row !== undefined && (purpose === 'read' ? mayRead(row.state) : row.state === 'OPEN' && row.attempt >= fenced.attempt)) return true;",
      why: 'is there for the types: without a memory there is no row',
    },
    { was: 'const present = new Set(rows.map((row) => row.table));', is: 'const present = new Set(rows.map(() => undefined));', why: keptForEver },
    {
      was: 'for (const table of tables) { if (!present.has(table)) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt); }',
      is: 'for (const table of tables) {}',
      why: keptForEver,
    },
    {
      was: 'if (!present.has(table)) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);',
      is: 'if (present.has(table)) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);',
      why: keptForEver,
    },
    {
      was: 'if (!present.has(table)) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);',
      is: 'if (true) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);',
      why: keptForEver,
    },
    {
      was: 'if (!present.has(table)) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);',
      is: 'if (false) this.#byPlace.get(placeOf(keyspace, table))?.learn(keyspace, null, lookedAt);',
      why: keptForEver,
    },
    {
      was: 'if (there !== undefined && there !== fenced) fenced.absorb(there);',
      is: 'if (there !== undefined && true) fenced.absorb(there);',
      why: 'a memory that joins itself knows what it knew',
    },
  ],
  'gateway/rules/fenced-table.ts': [{ was: 'this.expect(keyspace);', is: ';', why: 'what is learned of a keyspace is remembered also where it was not expected' }],
  'gateway/rules/routing.ts': [{ was: 'if (ref.group === null) continue;', is: 'if (false) continue;', why: 'nobody can ask for the tables of no group' }],
  'gateway/rules/rules-check.ts': [
    { was: '} catch { return null; // not served by any name before }', is: '} catch {}', why: 'undefined is no keyspace either' },
    {
      was: 'const others = fenceView.subjectOf([ref]).keyspaces.filter((keyspace) => keyspace !== ref.keyspace && !look.answered.has(keyspace));',
      is: 'const others = fenceView.subjectOf([ref]).keyspaces.filter((keyspace) => true && !look.answered.has(keyspace));',
      why: 'the keyspace of the rule itself has answered: else it was pending the line before',
    },
    {
      was: 'return others.some((keyspace) => ref.rule?.movement !== undefined || !isAway(look.failed.get(keyspace)));',
      is: 'return others.some((keyspace) => ref.rule.movement !== undefined || !isAway(look.failed.get(keyspace)));',
      why: 'is there for the types: only tables with a rule are asked about',
    },
  ],
  'gateway/flow/bounces.ts': [
    {
      was: 'if (first !== undefined && fenced.every((table) => table === null)) throw denied(first, keyspace, error);',
      is: 'if (true && fenced.every((table) => table === null)) throw denied(first, keyspace, error);',
      why: 'is there for the types: a write names a table',
    },
    {
      was: 'if (group !== null && table !== null && table.openRow === null) holds.bounced(group, [ref]);',
      is: 'if (true && table !== null && table.openRow === null) holds.bounced(group, [ref]);',
      why: 'is there for the types: a table with rows has a group',
    },
    {
      was: "if (unexplained !== '' && unexplained === last?.unexplained && first !== undefined) throw denied(first, keyspace, error);",
      is: "if (unexplained !== '' && unexplained === last?.unexplained && true) throw denied(first, keyspace, error);",
      why: 'is there for the types: without a table nothing is unexplained',
    },
  ],
  'gateway/flow/buffer.ts': [
    { was: 'if (this.#queues.size === 0) return null;', is: 'if (false) return null;', why: 'only quicker: no key is queued where none is' },
    {
      was: "const cancelTimer = clock.after(Math.max(0, Math.min(untilDeadlineMs, windowMs)), () => this.#evict(entry, untilDeadlineMs <= windowMs ? 'deadline' : 'window'));",
      is: "const cancelTimer = clock.after(Math.max(0, Math.min(untilDeadlineMs, windowMs)), () => this.#evict(entry, untilDeadlineMs < windowMs ? 'deadline' : 'window'));",
      why: exactly,
    },
    {
      was: "signal.addEventListener('abort', onAbort, { once: true });",
      is: "signal.addEventListener('abort', onAbort, { once: false });",
      why: 'it is taken away when the wait is over',
    },
    {
      was: "if (entry.state.kind !== 'waiting') throw new Error('an entry that does not wait is in the ready queue');",
      is: "if (false) throw new Error('an entry that does not wait is in the ready queue');",
      why: 'an invariant: whatever leaves the wait leaves the ready queue',
    },
    {
      was: "if (entry.state.kind !== 'waiting') throw new Error('an entry that does not wait is in the ready queue');",
      is: "if (entry.state.kind !== 'waiting') ;",
      why: 'an invariant: whatever leaves the wait leaves the ready queue',
    },
    {
      was: 'if (!group.held && group.running === 0 && group.waiting === 0) this.#groups.delete(group.name);',
      is: 'if (false) this.#groups.delete(group.name);',
      why: 'a group without entries that is not held is like a new one; only memory tells',
    },
    {
      was: 'if (!group.held && group.running === 0 && group.waiting === 0) this.#groups.delete(group.name);',
      is: 'if (!group.held && group.running === 0 && group.waiting === 0) ;',
      why: 'a group without entries that is not held is like a new one; only memory tells',
    },
    { was: "if (entry.state.kind !== 'waiting') return;", is: 'if (false) return;', why: 'an entry that waits no more has neither a timer nor an ear for its signal' },
    {
      was: "if (entry.state.kind === 'waiting') entry.state.stopTimers();",
      is: 'if (true) entry.state.stopTimers();',
      why: 'is there for the types: only what waits leaves the wait',
    },
    { was: 'if (at >= 0) queue.splice(at, 1);', is: 'if (true) queue.splice(at, 1);', why: 'an entry is in the queues of all its keys until it is settled' },
    {
      was: 'return entry.keys.every((key) => this.#queues.get(key)?.[0] === entry);',
      is: 'return entry.keys.every((key) => this.#queues.get(key)[0] === entry);',
      why: 'is there for the types: an entry is in the queues of all its keys until it is settled',
    },
    ...['true', "entry.group === group || entry.state.kind === 'waiting'", "true && entry.state.kind === 'waiting'", 'entry.group === group && true'].map((condition) => ({
      was: "for (const queue of this.#queues.values()) for (const entry of queue) if (entry.group === group && entry.state.kind === 'waiting') found.add(entry);",
      is: `for (const queue of this.#queues.values()) for (const entry of queue) if (${condition}) found.add(entry);`,
      why: 'whatever is found is evicted only if it waits, and the end evicts all groups',
    })),
    { was: 'default: return assertNever(reason);', is: 'default:', why: 'is there for the types: there is no other reason' },
  ],
  'gateway/flow/executor.ts': [
    {
      was: 'if (group !== null && holds.isHeld(group)) return group;',
      is: 'if (true && holds.isHeld(group)) return group;',
      why: 'is there for the types: no group is held under no name',
    },
    {
      was: 'const hold = route.list.find((ref) => ref.rule?.hold !== undefined)?.rule?.hold ?? null;',
      is: 'const hold = route.list.find(ref => ref.rule?.hold !== undefined)?.rule.hold ?? null;',
      why: 'is there for the types: what was found has a rule',
    },
  ],
  'gateway/flow/hold.ts': [
    {
      was: "if (group === undefined || group.watching || group.state.kind === 'open') return;",
      is: 'if (group === undefined || group.watching || false) return;',
      why: 'a watch of what is open ends before it looks',
    },
    { was: "if (group.state.kind === 'by-rule') this.#ruleIsOver(group, 'rules');", is: "if (true) this.#ruleIsOver(group, 'rules');", why: 'it does nothing to any other hold' },
    { was: "if (state.kind !== 'by-rule') return;", is: 'if (false) return;', why: 'is there for the types: it is called of a hold by rule, whose timer goes with it' },
    { was: "if (state.kind === 'open') return;", is: 'if (false) return;', why: 'is there for the types: whoever calls has seen that it is held' },
    { was: "if (state.kind === 'open') return false;", is: 'if (false) return false;', why: 'what is open is not ended again' },
    { was: "if (state.kind === 'open') return false;", is: "if (state.kind === 'open') return true;", why: 'what is open is not ended again' },
  ],
};
