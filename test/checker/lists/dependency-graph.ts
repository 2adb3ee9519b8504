/*
 * Who depends on whom, as a graph, and the cycles in it. Nodes are numbers; what they stand for is the caller's.
 */

/** ww: the one's write comes before the other's · wr: the other read the one's write · rw: the one did not see the other's write · rt: the one was answered before the other was invoked. */
export type Dependency = 'ww' | 'wr' | 'rw' | 'rt';

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly dependency: Dependency;
  /** What it is about. */
  readonly key: string;
}

export class DependencyGraph {
  readonly #out: Edge[][] = [];

  get size(): number {
    return this.#out.length;
  }

  addNode(): number {
    return this.#out.push([]) - 1;
  }

  /** Nothing depends on itself. */
  addEdge(edge: Edge): void {
    if (edge.from !== edge.to) this.#out[edge.from]?.push(edge);
  }

  from(node: number): readonly Edge[] {
    return this.#out[node] ?? [];
  }

  /** Sets of at least two nodes that depend on each other, through edges of these kinds between nodes that `within` allows (Tarjan 1972, without recursion). */
  components(kinds: ReadonlySet<Dependency>, within: (node: number) => boolean = () => true): number[][] {
    const found: number[][] = [];
    const index = new Int32Array(this.size).fill(-1);
    const low = new Int32Array(this.size);
    const onStack = new Uint8Array(this.size);
    const stack: number[] = [];
    let visited = 0;
    const path: { node: number; next: number }[] = [];
    const enter = (node: number) => {
      index[node] = visited;
      low[node] = visited;
      visited += 1;
      stack.push(node);
      onStack[node] = 1;
      path.push({ node, next: 0 });
    };
    for (let root = 0; root < this.size; root += 1) {
      if (index[root] !== -1 || !within(root)) continue;
      enter(root);
      for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
        const { node } = at;
        const edge = this.from(node)[at.next];
        if (edge !== undefined) {
          at.next += 1;
          if (!kinds.has(edge.dependency) || !within(edge.to)) continue;
          if (index[edge.to] === -1) enter(edge.to);
          else if (onStack[edge.to] === 1) low[node] = Math.min(low[node] as number, index[edge.to] as number);
          continue;
        }
        path.pop();
        const above = path.at(-1);
        if (above !== undefined) low[above.node] = Math.min(low[above.node] as number, low[node] as number);
        if (low[node] !== index[node]) continue;
        const component = stack.splice(stack.lastIndexOf(node));
        for (const member of component) onStack[member] = 0;
        if (component.length > 1) found.push(component);
      }
    }
    return found;
  }

  /** The edges of a shortest way, null where there is none. */
  way(from: number, to: number, kinds: ReadonlySet<Dependency>, within: ReadonlySet<number>): Edge[] | null {
    const cameBy = new Map<number, Edge>();
    const waiting = [from];
    for (const node of waiting) {
      for (const edge of this.from(node)) {
        if (!kinds.has(edge.dependency) || !within.has(edge.to) || cameBy.has(edge.to)) continue;
        cameBy.set(edge.to, edge);
        if (edge.to === to) return waysBack(cameBy, from, to);
        waiting.push(edge.to);
      }
    }
    return null;
  }
}

function waysBack(cameBy: ReadonlyMap<number, Edge>, from: number, to: number): Edge[] {
  const way: Edge[] = [];
  let node = to;
  do {
    const edge = cameBy.get(node) as Edge;
    way.unshift(edge);
    node = edge.from;
  } while (node !== from);
  return way;
}
