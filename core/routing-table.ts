import type { RuleProblem } from './registration.ts';
import type { RulesDocument, TableRule } from './rules-document.ts';
import { SwitchyardError } from './switchyard-error.ts';

/** One table in one keyspace, in text: the key of everything that is remembered about it. Keyspace names hold no dot. */
export const placeOf = (keyspace: string, table: string): string => `${keyspace}.${table}`;

/** Where the rules send a table. */
export interface TableRef {
  /** Key of the table's rule; without a rule the qualified name. The same for every name of the table. */
  readonly key: string;
  /** Bare name: what the table is called in every keyspace. */
  readonly table: string;
  /** Keyspace that the rules say serves it. */
  readonly keyspace: string;
  readonly rule: TableRule | null;
  /** What is held together: the workflow that owns the table, or the table alone while a rule without a workflow holds it; null where nothing can be held by rule. */
  readonly group: string | null;
  /** Every place that the table is known to be at, the serving one first. */
  readonly places: readonly string[];
}

/** A rule that cannot be followed and never could: its names answer with this. */
interface WrongRule {
  readonly key: string;
  readonly problem: RuleProblem;
}

type Entry = TableRef | WrongRule;
const isWrong = (entry: Entry): entry is WrongRule => 'problem' in entry;

/** Names without a rule that are remembered; callers may make names up. */
const mostUnruled = 10_000;

interface Content {
  readonly document: RulesDocument;
  readonly keyspaces: ReadonlySet<string>;
  readonly redirects: ReadonlyMap<string, string>;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** All rules at one version, ready for look-ups by any name. Immutable. */
export class RoutingTable {
  readonly #content: Content;
  readonly #byName: ReadonlyMap<string, Entry>;
  /** Answers for names without a rule, so that a table's calls share one. */
  readonly #unruled = new Map<string, TableRef>();

  constructor(content: Content) {
    this.#content = content;
    this.#byName = indexNames(content);
  }

  get version(): number {
    return this.#content.document.version;
  }

  get document(): RulesDocument {
    return this.#content.document;
  }

  /** The tables that have a rule which can be followed. */
  *refs(): Generator<TableRef> {
    for (const entry of this.#content.entries.values()) if (!isWrong(entry)) yield entry;
  }

  /** The table with a rule of this key, if that can be followed. */
  ref(key: string): TableRef | null {
    const entry = this.#content.entries.get(key);
    return entry === undefined || isWrong(entry) ? null : entry;
  }

  /** Leads any name of a table, bare or qualified, to where the rules send it. TABLE_UNKNOWN for a keyspace that nobody knows, KEYSPACE_UNKNOWN or RULES_INVALID where the table's rule is wrong and has no predecessor. */
  resolve(name: string): TableRef {
    const entry = this.#byName.get(name) ?? this.#unruled.get(name) ?? this.#resolveUnruled(name);
    if (isWrong(entry)) throw new SwitchyardError(entry.problem.reason, entry.problem.message, { metadata: { table: entry.key } });
    return entry;
  }

  /** The same rules, except that these keys go on as in `previous` (and without a rule where they had none). */
  keeping(keys: ReadonlySet<string>, previous: RoutingTable): RoutingTable {
    if (keys.size === 0) return this;
    const entries = new Map(this.#content.entries);
    for (const key of keys) {
      const old = previous.#content.entries.get(key);
      if (old === undefined) entries.delete(key);
      else entries.set(key, old);
    }
    return new RoutingTable({ ...this.#content, entries });
  }

  #resolveUnruled(name: string): Entry {
    const { document, keyspaces, redirects } = this.#content;
    const dot = name.indexOf('.');
    const named = dot < 0 ? document.defaultKeyspace : name.slice(0, dot);
    const table = dot < 0 ? name : name.slice(dot + 1);
    if (dot < 0) {
      const qualified = this.#byName.get(placeOf(named, table));
      if (qualified !== undefined) return qualified;
    }
    if (table === '') throw new SwitchyardError('ARGUMENT_INVALID', `table: "${name}" is not a table's name; give "orders" or "keyspace.orders"`);
    if (!keyspaces.has(named)) throw new SwitchyardError('TABLE_UNKNOWN', `table "${name}": there is no keyspace "${named}"`, { metadata: { table: name } });
    const keyspace = redirects.get(named) ?? named;
    const places = keyspace === named ? [placeOf(named, table)] : [placeOf(keyspace, table), placeOf(named, table)];
    const ref: TableRef = { key: placeOf(named, table), table, keyspace, rule: null, group: null, places };
    if (this.#unruled.size >= mostUnruled) this.#unruled.clear();
    this.#unruled.set(name, ref);
    return ref;
  }
}

/** What becomes of a document: a table with the problems of single tables in it, or no table at all and why. */
export type BuiltRouting = { readonly routing: RoutingTable; readonly problems: readonly RuleProblem[] } | { readonly routing: null; readonly problems: readonly RuleProblem[] };

/**
 * Checks a document against the known keyspaces and makes a routing table of it. A wrong rule makes only its own table wrong: that goes on as in `previous`. An unknown default keyspace refuses the document.
 */
export function buildRoutingTable(document: RulesDocument, keyspaces: ReadonlySet<string>, previous: RoutingTable | null): BuiltRouting {
  const { version } = document;
  const problem = (table: string | null, reason: RuleProblem['reason'], message: string): RuleProblem => ({ version, table, reason, message });
  if (!keyspaces.has(document.defaultKeyspace)) {
    return { routing: null, problems: [problem(null, 'KEYSPACE_UNKNOWN', `defaultKeyspace: there is no keyspace "${document.defaultKeyspace}"`)] };
  }
  const problems: RuleProblem[] = [];
  const redirects = new Map<string, string>();
  for (const [from, to] of Object.entries(document.keyspaces)) {
    if (keyspaces.has(to)) redirects.set(from, to);
    else problems.push(problem(`${from}.*`, 'KEYSPACE_UNKNOWN', `keyspaces.${from}: there is no keyspace "${to}"; its tables stay where they were`));
  }
  const entries = new Map<string, Entry>();
  const owners = new Map<string, string>();
  for (const [key, rule] of orderedRules(document)) {
    const wrong = findProblem(key, rule, keyspaces, owners, problem);
    if (wrong !== null) problems.push(wrong);
    const entry = wrong === null ? refOf(key, rule) : entryInstead(key, wrong, previous);
    if (entry === null) continue;
    entries.set(key, entry);
    for (const name of namesOf(key, rule)) if (!owners.has(name)) owners.set(name, key);
  }
  return { routing: new RoutingTable({ document, keyspaces, redirects, entries }), problems };
}

/** What a table with a wrong rule goes on as; null: without a rule, as before. */
function entryInstead(key: string, problem: RuleProblem, previous: RoutingTable | null): Entry | null {
  if (previous === null) return { key, problem };
  return previous.ref(key) ?? (previous.document.tables[key] === undefined ? null : { key, problem });
}

/** Rules of tables that a workflow joins come first: their names beat those of others. */
function orderedRules(document: RulesDocument): [string, TableRule][] {
  const joined = (rule: TableRule): number => (rule.movement !== undefined ? 0 : rule.names.length > 0 ? 1 : 2);
  return Object.entries(document.tables).sort(([keyA, a], [keyB, b]) => joined(a) - joined(b) || (keyA < keyB ? -1 : 1));
}

type ProblemMaker = (table: string | null, reason: RuleProblem['reason'], message: string) => RuleProblem;

function findProblem(key: string, rule: TableRule, keyspaces: ReadonlySet<string>, owners: ReadonlyMap<string, string>, problem: ProblemMaker): RuleProblem | null {
  const { movement } = rule;
  const dot = key.indexOf('.');
  const table = bareName(key);
  if (table === '' || dot === 0) return problem(key, 'RULES_INVALID', `tables.${key}: not a table's name`);
  const named: [string, string][] = [['primary', rule.primary]];
  if (dot > 0) named.push(['(its name)', key.slice(0, dot)]);
  if (movement !== undefined) named.push(['movement.source', movement.source], ['movement.target', movement.target]);
  for (const [field, keyspace] of named) {
    if (!keyspaces.has(keyspace)) return problem(key, 'KEYSPACE_UNKNOWN', `tables.${key}.${field}: there is no keyspace "${keyspace}"`);
  }
  if (movement !== undefined && movement.source === movement.target)
    return problem(key, 'RULES_INVALID', `tables.${key}.movement: source and target are both "${movement.source}"`);
  if (movement !== undefined && rule.primary !== movement.source && rule.primary !== movement.target) {
    return problem(key, 'RULES_INVALID', `tables.${key}.primary: "${rule.primary}" is neither source nor target of workflow "${movement.workflow}"`);
  }
  const stray = rule.names.find((name) => !name.includes('.') || bareName(name) !== table);
  if (stray !== undefined) return problem(key, 'RULES_INVALID', `tables.${key}.names: "${stray}" must be "<keyspace>.${table}"`);
  for (const name of namesOf(key, rule)) {
    const owner = owners.get(name);
    if (owner !== undefined) return problem(key, 'RULES_INVALID', `tables.${key}: the name "${name}" belongs to the rule "${owner}"`);
  }
  return null;
}

const bareName = (name: string): string => name.slice(name.indexOf('.') + 1);

function namesOf(key: string, { movement, names }: TableRule): Set<string> {
  const table = bareName(key);
  return new Set([key, ...names, ...(movement === undefined ? [] : [placeOf(movement.source, table), placeOf(movement.target, table)])]);
}

function refOf(key: string, rule: TableRule): TableRef {
  const table = bareName(key);
  const qualified = [...namesOf(key, rule)].filter((name) => name.includes('.'));
  const group = rule.movement?.workflow ?? (rule.hold === undefined ? null : `table ${key}`);
  return { key, table, keyspace: rule.primary, rule, group, places: [...new Set([placeOf(rule.primary, table), ...qualified])] };
}

function indexNames({ entries, document }: Content): Map<string, Entry> {
  const byName = new Map<string, Entry>(entries);
  for (const [key, entry] of entries) {
    const rule = isWrong(entry) ? document.tables[key] : entry.rule;
    if (rule === undefined || rule === null) continue;
    for (const name of namesOf(key, rule)) if (!byName.has(name)) byName.set(name, entry);
  }
  // A bare name means the default keyspace's table, so that one's qualified name means the same rule.
  for (const [key, entry] of entries) {
    const qualified = placeOf(document.defaultKeyspace, key);
    if (!key.includes('.') && !byName.has(qualified)) byName.set(qualified, entry);
  }
  return byName;
}
