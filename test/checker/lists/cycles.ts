import type { Dependency, DependencyGraph, Edge } from './dependency-graph.ts';
import type { Anomaly } from '../violation.ts';

/*
 * Cycles of dependencies by their names: G0 of writes alone, G1c of writes and reads, G-single with one anti-dependency (rw), G2 with more; "realtime" where it takes the order of answers and calls besides.
 */

export interface Cycle {
  readonly anomaly: Anomaly;
  /** From each transaction to the next, the last to the first again. */
  readonly edges: readonly Edge[];
}

/** Of the cycles through this many edges of one component the shortest is told. */
const enoughTries = 64;
/** Where so many edges are in no cycle of a name, the component is told of by the next name. */
const mostTries = 2_000;

function shorter(one: Edge[] | null, other: Edge[] | null): Edge[] | null {
  return one === null || (other !== null && other.length < one.length) ? other : one;
}

/** A cycle in the component with an edge of the kind `through`, the rest of kinds `others`. */
function shortest(graph: DependencyGraph, component: readonly number[], through: Dependency, others: ReadonlySet<Dependency>): Edge[] | null {
  const within = new Set(component);
  let best: Edge[] | null = null;
  let tries = 0;
  for (const node of component) {
    for (const edge of graph.from(node)) {
      if (edge.dependency !== through || !within.has(edge.to)) continue;
      if (tries >= (best === null ? mostTries : enoughTries)) return best;
      tries += 1;
      const back = graph.way(edge.to, node, others, within);
      best = shorter(best, back === null ? null : [edge, ...back]);
    }
  }
  return best;
}

const levels = [
  ['G0', 'ww', ['ww']],
  ['G1c', 'wr', ['ww', 'wr']],
  ['G-single', 'rw', ['ww', 'wr']],
  ['G2', 'rw', ['ww', 'wr', 'rw']],
  ['G0-realtime', 'ww', ['ww', 'rt']],
  ['G1c-realtime', 'wr', ['ww', 'wr', 'rt']],
  ['G-single-realtime', 'rw', ['ww', 'wr', 'rt']],
  ['G2-realtime', 'rw', ['ww', 'wr', 'rw', 'rt']],
] as const satisfies readonly (readonly [Anomaly, Dependency, readonly Dependency[]])[];

/** One cycle, the gravest and of those a short one, of each set of transactions that depend on each other. */
export function findCycles(graph: DependencyGraph): Cycle[] {
  const everything = new Set<Dependency>(['ww', 'wr', 'rw', 'rt']);
  const entangled = new Set(graph.components(everything).flat());
  const told = new Set<number>();
  const found: Cycle[] = [];
  if (entangled.size === 0) return found;
  for (const [anomaly, through, others] of levels) {
    const kinds = new Set<Dependency>([...others, through]);
    for (const component of graph.components(kinds, (node) => entangled.has(node))) {
      if (component.some((node) => told.has(node))) continue;
      const edges = shortest(graph, component, through, new Set(others));
      if (edges === null) continue;
      found.push({ anomaly, edges });
      for (const node of component) told.add(node);
    }
  }
  return found;
}
