import type { RuleProblem } from '../../core/registration.ts';
import type { RoutingTable, TableRef } from '../../core/routing-table.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

/** Tables by what they are held together with. */
const groupsOf = (table: RoutingTable): ReadonlyMap<string, readonly TableRef[]> => {
  const groups = new Map<string, TableRef[]>();
  for (const ref of table.refs()) {
    if (ref.group === null) continue;
    const group = groups.get(ref.group);
    if (group === undefined) groups.set(ref.group, [ref]);
    else group.push(ref);
  }
  return groups;
};

/** The routing table that every request takes its route from, and what this gateway refuses of the rules. The table is swapped as a whole and never for one of a lower version. */
export class Routing {
  #table: RoutingTable | null = null;
  #groups: ReadonlyMap<string, readonly TableRef[]> = new Map();
  #problems: readonly RuleProblem[] = [];

  /** Null before the first valid rules. */
  get table(): RoutingTable | null {
    return this.#table;
  }

  /** The table, for a request: GATEWAY_NOT_READY before the first valid rules. */
  current(): RoutingTable {
    if (this.#table === null) throw new SwitchyardError('GATEWAY_NOT_READY', 'the gateway has no valid routing rules yet', { retryAfterMs: 500 });
    return this.#table;
  }

  /** Version that every request is routed by from now on; 0 before the first. */
  get appliedVersion(): number {
    return this.#table?.version ?? 0;
  }

  get problems(): readonly RuleProblem[] {
    return this.#problems;
  }

  /** Tables that the rules hold together under this name. */
  tablesOf(group: string): readonly TableRef[] {
    return this.#groups.get(group) ?? [];
  }

  swap(table: RoutingTable): void {
    if (table.version < this.appliedVersion) throw new Error(`rules version ${table.version} is lower than the applied ${this.appliedVersion}`);
    this.#table = table;
    this.#groups = groupsOf(table);
  }

  /** Replaces the problems; returns whether they differ from those before. */
  report(problems: readonly RuleProblem[]): boolean {
    const differ = JSON.stringify(problems) !== JSON.stringify(this.#problems);
    this.#problems = problems;
    return differ;
  }
}
