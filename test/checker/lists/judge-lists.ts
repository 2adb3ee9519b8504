import { findCycles } from './cycles.ts';
import { DependencyGraph, type Edge } from './dependency-graph.ts';
import { type Element, end, precedes, type Transaction } from '../history.ts';
import { fateOf, type Violation } from '../violation.ts';
import { showList, showTime } from '../wording.ts';

/*
 * Strict serializability of transactions that append to lists and read them, as Elle does it (Kingsbury and Alvaro, VLDB 14(3), 2020): a read of a list tells the order of everything appended so far, so who depends on whom is
 * known, and where nothing is in order there is a cycle. Not every history that is in no order has one (appends that nobody read have no place in their list), but each one told of is in none.
 */

interface Append {
  readonly writer: Transaction;
  /** What its transaction appends to that list next. */
  readonly next: Element | undefined;
}

interface Read {
  readonly reader: Transaction;
  readonly saw: readonly Element[];
}

class ListJudge {
  readonly violations: Violation[] = [];
  readonly #keyspace: string;
  readonly #transactions: readonly Transaction[];
  readonly #appends = new Map<string, Map<Element, Append>>();
  readonly #reads = new Map<string, Read[]>();
  /** Of each list the longest that was read: its elements in the order of their appends. */
  readonly #orders = new Map<string, readonly Element[]>();
  /** Elements of each list that have been told of. */
  readonly #told = new Map<string, Set<Element>>();
  /** Transactions that took effect: acknowledged, or seen. */
  readonly #done: Set<Transaction>;

  constructor(keyspace: string, transactions: readonly Transaction[]) {
    this.#keyspace = keyspace;
    this.#transactions = transactions;
    this.#done = new Set(transactions.filter(({ outcome }) => outcome === 'ok'));
  }

  judge(): readonly Violation[] {
    this.#recordAppends();
    for (const reader of this.#transactions) if (reader.outcome === 'ok') this.#recordReads(reader);
    for (const [key, reads] of this.#reads) this.#recordOrder(key, reads);
    for (const [key, reads] of this.#reads) this.#findMissing(key, reads);
    const missing = this.violations.some(({ kind }) => kind === 'stale' || kind === 'lost' || kind === 'unapplied');
    const { graph, nodes } = this.#dependencies();
    for (const { anomaly, edges } of findCycles(graph)) {
      // A read that missed what was acknowledged before is such a cycle, and has been told of by a better name.
      if (missing && anomaly.endsWith('-realtime')) continue;
      const cycle = withoutInstants(edges, nodes);
      const said = cycle.map(({ from, to, edge }) => why(from, to, edge)).join('; ');
      const inPart = cycle.length === 2 && cycle.some(({ edge }) => edge.dependency === 'wr') && cycle.some(({ edge }) => edge.dependency === 'rw');
      const operations = cycle.map(({ from }) => from).sort((a, b) => a.invoked - b.invoked);
      this.#tell(inPart ? 'torn' : 'cycle', cycle[0]?.edge.key ?? '', said, operations, anomaly);
    }
    return this.violations;
  }

  #tell(kind: Violation['kind'], key: string, said: string, operations: readonly Transaction[], anomaly?: Violation['anomaly']): void {
    const at = Math.max(...operations.map(({ responded }) => responded).filter(Number.isFinite), Number.NEGATIVE_INFINITY);
    this.violations.push({
      kind,
      ...(anomaly === undefined ? {} : { anomaly }),
      key: key === '' ? this.#keyspace : `${this.#keyspace}/${key}`,
      at,
      said,
      operations: [...new Set(operations)],
    });
  }

  #recordAppends(): void {
    for (const writer of this.#transactions) {
      for (const [place, step] of writer.steps.entries()) {
        if (step.kind !== 'append') continue;
        const appends = this.#appends.get(step.key) ?? new Map<Element, Append>();
        if (appends.has(step.value)) throw new Error(`${JSON.stringify(step.value)} was appended to ${step.key} by two calls: the history cannot be judged`);
        const next = writer.steps.slice(place + 1).find((later) => later.kind === 'append' && later.key === step.key);
        this.#appends.set(step.key, appends.set(step.value, { writer, next: next?.kind === 'append' ? next.value : undefined }));
      }
    }
  }

  /** What one transaction's reads tell by themselves. */
  #recordReads(reader: Transaction): void {
    const own = new Map<string, Element[]>();
    const seen = new Map<string, readonly Element[]>();
    for (const step of reader.steps) {
      const mine = own.get(step.key) ?? [];
      if (step.kind === 'append') {
        own.set(step.key, [...mine, step.value]);
        continue;
      }
      if (step.saw === null) continue;
      const others = step.saw.slice(0, Math.max(0, step.saw.length - mine.length));
      const before = seen.get(step.key) ?? others;
      if (!sameElements(step.saw, [...before, ...mine])) {
        this.#tell('torn', step.key, `it read ${showList(step.saw)} where its own reads and appends make ${showList([...before, ...mine])}`, [reader], 'internal');
        continue;
      }
      seen.set(step.key, others);
      if (!this.#isSound(reader, step.key, others)) continue;
      const reads = this.#reads.get(step.key) ?? [];
      reads.push({ reader, saw: step.saw });
      this.#reads.set(step.key, reads);
    }
  }

  /** Whether the elements of others can have been there. What is wrong with an element is told once, however many reads see it. */
  #isSound(reader: Transaction, key: string, saw: readonly Element[]): boolean {
    const appends = this.#appends.get(key);
    const told = this.#told.get(key) ?? new Set<Element>();
    this.#told.set(key, told);
    const tell = (kind: Violation['kind'], element: Element, said: string, anomaly?: Violation['anomaly']) => {
      const writer = appends?.get(element)?.writer;
      if (!told.has(element)) this.#tell(kind, key, `${JSON.stringify(element)} ${said}: ${showList(saw)}`, writer === undefined ? [reader] : [writer, reader], anomaly);
      told.add(element);
    };
    const distinct = new Set(saw);
    const twice = distinct.size === saw.length ? undefined : saw.find((element) => !distinct.delete(element));
    if (twice !== undefined) {
      tell('doubled', twice, 'is there more than once');
      return false;
    }
    for (const [place, element] of saw.entries()) {
      const append = appends?.get(element);
      if (append === undefined) tell('phantom', element, 'was read, which nobody appended');
      else if (append.writer.outcome === 'failed') tell('phantom', element, 'was read, whose append had been refused', 'G1a');
      else if (append.writer === reader || reader.responded < append.writer.invoked) tell('phantom', element, 'was read before it was appended');
      if (append === undefined || append.writer === reader) return false;
      if (append.next !== undefined && saw[place + 1] !== append.next)
        tell('torn', element, `was read without ${JSON.stringify(append.next)} after it, which its transaction appended next`, 'G1b');
      this.#done.add(append.writer);
    }
    return true;
  }

  /** The longest read's order; others that are no beginning of it are told of, and told nothing by from then on. */
  #recordOrder(key: string, reads: readonly Read[]): void {
    const longest = reads.reduce((best, read) => (read.saw.length > best.saw.length ? read : best));
    this.#orders.set(key, longest.saw);
    const agreeing: Read[] = [];
    for (const read of reads) {
      const place = read.saw.findIndex((element, index) => element !== longest.saw[index]);
      if (place === -1) {
        agreeing.push(read);
        continue;
      }
      const [earlier, later] = read.reader.invoked < longest.reader.invoked ? [read, longest] : [longest, read];
      const element = earlier.saw[place] as Element;
      const gone = !later.saw.includes(element);
      const writer = this.#appends.get(key)?.get(element)?.writer as Transaction;
      const said = `one read saw ${showList(earlier.saw)} and a later one ${showList(later.saw)}${gone ? `: ${JSON.stringify(element)} is gone` : ', which no order of appends makes'}`;
      this.#tell(gone ? 'lost' : 'impossible', key, said, [writer, earlier.reader, later.reader], 'incompatible-order');
    }
    this.#reads.set(key, agreeing);
  }

  /** Reads without an element that had been acknowledged before they began. */
  #findMissing(key: string, reads: readonly Read[]): void {
    const places = new Map((this.#orders.get(key) ?? []).map((element, place) => [element, place]));
    const appends = [...(this.#appends.get(key) ?? [])]
      .filter(([, { writer }]) => writer.outcome === 'ok')
      .map(([element, { writer }]) => ({ element, writer, place: places.get(element) ?? Number.POSITIVE_INFINITY }));
    const byEnd = appends.sort((a, b) => end(a.writer) - end(b.writer));
    const told = new Set<Element>();
    let ended = 0;
    let furthest: (typeof appends)[number] | null = null;
    for (const read of reads.toSorted((a, b) => a.reader.invoked - b.reader.invoked)) {
      for (let next = byEnd[ended]; next !== undefined && precedes(next.writer, read.reader); next = byEnd[ended]) {
        if (furthest === null || next.place > furthest.place) furthest = next;
        ended += 1;
      }
      if (furthest === null || furthest.place < read.saw.length || told.has(furthest.element)) continue;
      const { element, place, writer } = furthest;
      told.add(element);
      const lastSeen = reads.reduce<Read | null>(
        (last, other) => (other.saw.length > place && other.reader.invoked > (last?.reader.invoked ?? Number.NEGATIVE_INFINITY) ? other : last),
        null,
      );
      const kind = fateOf(read.reader.invoked, lastSeen?.reader.invoked ?? null);
      const since = { stale: 'and is seen again later', lost: 'and is never seen again', unapplied: 'and was never seen' }[kind];
      this.#tell(kind, key, `${showList(read.saw)} was read though ${JSON.stringify(element)} had been acknowledged before, ${since}`, [
        writer,
        ...(lastSeen === null ? [] : [lastSeen.reader]),
        read.reader,
      ]);
    }
  }

  /** A node for each transaction that took effect and for each instant at which one was answered: real time is a chain of those, so that it takes a few edges a transaction and not one for each pair. */
  #dependencies(): { readonly graph: DependencyGraph; readonly nodes: readonly (Transaction | null)[] } {
    const graph = new DependencyGraph();
    const nodes: (Transaction | null)[] = [];
    const nodeOf = new Map<Transaction, number>();
    for (const transaction of this.#done) {
      nodeOf.set(transaction, graph.addNode());
      nodes.push(transaction);
    }
    const link = (from: Transaction | undefined, to: Transaction | undefined, dependency: Edge['dependency'], key: string) => {
      const [a, b] = [from && nodeOf.get(from), to && nodeOf.get(to)];
      if (a !== undefined && b !== undefined) graph.addEdge({ from: a, to: b, dependency, key });
    };
    for (const [key, appends] of this.#appends) {
      const order = this.#orders.get(key) ?? [];
      const writers = order.map((element) => appends.get(element)?.writer);
      const placed = new Set(order);
      const unread = [...appends].filter(([element, { writer }]) => !placed.has(element) && this.#done.has(writer)).map(([, { writer }]) => writer);
      for (const [place, writer] of writers.entries()) link(writer, writers[place + 1], 'ww', key);
      for (const writer of unread) link(writers.at(-1), writer, 'ww', key);
      for (const { reader, saw } of this.#reads.get(key) ?? []) {
        link(writers[saw.length - 1], reader, 'wr', key);
        if (saw.length < order.length) link(reader, writers[saw.length], 'rw', key);
        else for (const writer of unread) link(reader, writer, 'rw', key);
      }
    }
    this.#addRealTime(graph, nodes, nodeOf);
    return { graph, nodes };
  }

  #addRealTime(graph: DependencyGraph, nodes: (Transaction | null)[], nodeOf: ReadonlyMap<Transaction, number>): void {
    const byEnd = [...this.#done].filter(({ outcome }) => outcome === 'ok').sort((a, b) => a.responded - b.responded);
    const byStart = [...this.#done].sort((a, b) => a.invoked - b.invoked);
    const link = (from: number, to: number) => graph.addEdge({ from, to, dependency: 'rt', key: '' });
    let ended = 0;
    let instant: number | null = null;
    for (const transaction of byStart) {
      for (let next = byEnd[ended]; next !== undefined && precedes(next, transaction); next = byEnd[ended]) {
        const node = graph.addNode();
        nodes.push(null);
        if (instant !== null) link(instant, node);
        link(nodeOf.get(next) as number, node);
        instant = node;
        ended += 1;
      }
      if (instant !== null) link(instant, nodeOf.get(transaction) as number);
    }
  }
}

function why(from: Transaction, to: Transaction, { dependency, key }: Edge): string {
  const [one, other] = [from, to].map(({ process, invoked }) => `${process} at ${showTime(invoked)}`);
  switch (dependency) {
    case 'ww':
      return `${one} appended to ${key} before ${other}`;
    case 'wr':
      return `${other} saw what ${one} appended to ${key}`;
    case 'rw':
      return `${one} did not see what ${other} appended to ${key}`;
    case 'rt':
      return `${one} was answered before ${other} began`;
  }
}

function sameElements(one: readonly Element[], other: readonly Element[]): boolean {
  return one.length === other.length && one.every((element, place) => element === other[place]);
}

/** The cycle from transaction to transaction; a way through instants is one step. */
function withoutInstants(edges: readonly Edge[], nodes: readonly (Transaction | null)[]): { readonly from: Transaction; readonly to: Transaction; readonly edge: Edge }[] {
  const start = edges.findIndex(({ from }) => nodes[from] !== null);
  const turned = [...edges.slice(start), ...edges.slice(0, start)];
  const steps: { from: Transaction; to: Transaction; edge: Edge }[] = [];
  let begun: Transaction | null = null;
  for (const edge of turned) {
    begun ??= nodes[edge.from] ?? null;
    const to = nodes[edge.to] ?? null;
    if (to === null || begun === null) continue;
    steps.push({ from: begun, to, edge });
    begun = null;
  }
  return steps;
}

/** Judges the transactions of one keyspace. Throws where two calls append the same to one list. */
export function judgeLists(keyspace: string, transactions: readonly Transaction[]): readonly Violation[] {
  return new ListJudge(keyspace, transactions).judge();
}
