import { createRpcClient } from '../../../client/rpc-client.ts';
import type { Registration, RuleProblem } from '../../../core/registration.ts';
import { KeyspaceService } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Cluster } from '../../support/cluster/cluster.ts';
import { waitUntil } from '../../support/servers/wait-until.ts';
import { type Door, movedTables, workflowName } from './bench-move.ts';
import { editRules, getRules, putRules, readRegistrations, readRules, readWorkflow } from './consul-rules.ts';

const orderLimitMs = 60_000;
const seenLimitMs = 10_000;
const plainTable = 'plain';

/** Orders a cutover as an operator with nothing but the `consul` command does: by setting `movement.want` of the workflow's tables. Waits until the rules and the journal say that it is done. */
export function consulDoor(cluster: Cluster): Door {
  return async (direction) => {
    const want = direction === 'switch' ? 'target' : 'source';
    const primary = direction === 'switch' ? 'new' : 'old';
    const { cutovers: before } = await readWorkflow(cluster.consul, workflowName);
    await editRules(cluster.consul, `bench: ${direction}`, (document) => {
      document.tables = Object.fromEntries(
        Object.entries(document.tables).map(([name, rule]) => [name, rule.movement?.workflow === workflowName ? { ...rule, movement: { ...rule.movement, want } } : rule]),
      );
    });
    const explain = async (): Promise<string> => JSON.stringify((await readWorkflow(cluster.consul, workflowName)).cutovers.at(-1));
    await waitUntil(`the ${direction} ordered through Consul`, { limitMs: orderLimitMs, everyMs: 10, explain }, async () => {
      const { tables } = await readRules(cluster.consul);
      const flipped = movedTables.every((table) => tables[table]?.primary === primary && tables[table]?.writes === 'open');
      if (!flipped) return undefined;
      const last = (await readWorkflow(cluster.consul, workflowName)).cutovers.at(-1);
      const isNew = last?.startedAt !== before.at(-1)?.startedAt;
      return isNew && last !== undefined && last.outcome !== 'running' ? true : undefined;
    });
  };
}

/** A table in both stores that no workflow owns; its one row names the store. */
async function makePlainTable(cluster: Cluster): Promise<void> {
  const login = cluster.logins.owner;
  const keyspaces = cluster.control(KeyspaceService);
  for (const name of ['old', 'new'] as const) {
    await cluster[name].psql(cluster.database, `CREATE TABLE ${plainTable} (id int PRIMARY KEY, store text NOT NULL); INSERT INTO ${plainTable} VALUES (1, '${name}');`, { login });
    const { script } = await keyspaces.getKeyspaceGrants({ name, tables: [plainTable] });
    await cluster[name].psql(cluster.database, script);
  }
}

/** The store that serves the plain table, by each gateway's own answer. */
async function storesServing(cluster: Cluster): Promise<readonly string[]> {
  return Promise.all(
    cluster.gateways.map(async ({ address }) => {
      using client = createRpcClient(DataService, address, { deadlineMs: 2_000 });
      const { row } = await client.get({ table: plainTable, key: { cells: { id: { kind: { case: 'int64Value', value: 1n } } } } });
      const store = row?.cells.store?.kind;
      return store?.case === 'textValue' ? store.value : 'nothing';
    }),
  );
}

async function untilServedBy(cluster: Cluster, store: string): Promise<string | null> {
  let serving: readonly string[] = [];
  try {
    await waitUntil(`every gateway serving "${plainTable}" from ${store}`, { limitMs: seenLimitMs, everyMs: 20 }, async () => {
      serving = await storesServing(cluster);
      return serving.every((each) => each === store) ? true : undefined;
    });
    return null;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; they serve it from ${serving}`;
  }
}

/** Null once every gateway has named such a problem in its registration; they may do so one after the other. */
async function untilNamed(cluster: Cluster, what: string, isIt: (problem: RuleProblem) => boolean): Promise<string | null> {
  const named = new Set<string>();
  let registrations: readonly Registration[] = [];
  try {
    await waitUntil(`every gateway naming ${what}`, { limitMs: seenLimitMs, everyMs: 5 }, async () => {
      registrations = await readRegistrations(cluster.consul);
      for (const { id, problems } of registrations) if (problems.some(isIt)) named.add(id);
      return named.size >= cluster.gateways.length ? true : undefined;
    });
    return null;
  } catch (error) {
    const problems = registrations.map((registration) => `${registration.id} applies ${registration.appliedVersion}: ${JSON.stringify(registration.problems)}`);
    return `${error instanceof Error ? error.message : String(error)}; named by ${[...named]}; ${problems.join('; ')}`;
  }
}

const setPlain = (store: string) => (document: { tables: Awaited<ReturnType<typeof readRules>>['tables'] }) => {
  document.tables = { ...document.tables, [plainTable]: { primary: store, attempt: 0, writes: 'open', names: [] } };
};

async function checkMalformed(cluster: Cluster): Promise<(string | null)[]> {
  const good = await getRules(cluster.consul);
  await putRules(cluster.consul, JSON.stringify({ ...good.document, version: good.document.version + 1, nonce: 'malformed', tabels: {} }), good.index);
  const found = [await untilNamed(cluster, 'the malformed document', (problem) => problem.table === null && problem.reason === 'RULES_INVALID')];
  found.push(await untilServedBy(cluster, 'new'));
  // An operator puts it right, unless control has done so already.
  await editRules(cluster.consul, 'bench: put right', (document) => {
    const { tabels: _typo, ...rest } = document as typeof document & { tabels?: unknown };
    Object.assign(document, rest, { version: document.version + 1 });
    Reflect.deleteProperty(document, 'tabels');
  });
  return found;
}

async function checkStale(cluster: Cluster): Promise<(string | null)[]> {
  const { version } = await editRules(cluster.consul, 'bench: a version that is not higher', (document) => {
    document.version -= 3;
    setPlain('old')(document);
  });
  const found = [await untilNamed(cluster, `version ${version} as stale`, (problem) => problem.table === null && problem.reason === 'RULES_STALE')];
  found.push(await untilServedBy(cluster, 'new'));
  await editRules(cluster.consul, 'bench: put right', (document) => {
    document.version += 10;
    setPlain('new')(document);
  });
  found.push(await untilServedBy(cluster, 'new'));
  return found;
}

/** Control writes the rules again as the stores say; the tables stand in one of the two. */
async function untilPutRight(cluster: Cluster): Promise<string | null> {
  const { cutovers } = await readWorkflow(cluster.consul, workflowName);
  const serving = cutovers.at(-1)?.to === 'target' ? 'new' : 'old';
  let primaries: readonly (string | undefined)[] = [];
  try {
    await waitUntil(`the rules naming ${serving} again`, { limitMs: seenLimitMs, everyMs: 50 }, async () => {
      const { tables } = await readRules(cluster.consul);
      primaries = movedTables.map((table) => tables[table]?.primary);
      return primaries.every((primary) => primary === serving) ? true : undefined;
    });
    return null;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; they name ${primaries}`;
  }
}

/** All of the workflow's tables to the closed store, and the plain one to "old": the first are refused, the second is not. */
async function checkFenced(cluster: Cluster): Promise<(string | null)[]> {
  await editRules(cluster.consul, 'bench: against the fence', (document) => {
    setPlain('old')(document);
    const turned = (primary: string): string => (primary === 'old' ? 'new' : 'old');
    document.tables = Object.fromEntries(
      Object.entries(document.tables).map(([name, rule]) => [name, rule.movement === undefined ? rule : { ...rule, primary: turned(rule.primary) }]),
    );
  });
  const found: (string | null)[] = [];
  for (const table of movedTables) found.push(await untilNamed(cluster, `the fenced rule of ${table}`, (problem) => problem.table === table && problem.reason === 'RULE_FENCED'));
  found.push(await untilServedBy(cluster, 'old'), await untilPutRight(cluster));
  return found;
}

/** The other things that an operator can do with `consul kv put -cas`, each under load; what it lists was not as documented. */
export async function checkConsulDoor(cluster: Cluster, say: (line: string) => void): Promise<readonly string[]> {
  await makePlainTable(cluster);
  const found: (string | null)[] = [];
  const step = async (what: string, check: () => Promise<(string | null)[]>): Promise<void> => {
    const problems = await check();
    found.push(...problems.map((problem) => (problem === null ? null : `${what}: ${problem}`)));
    say(`${what}: ${problems.every((problem) => problem === null) ? 'as documented' : problems.filter((problem) => problem !== null).join('; ')}`);
  };
  for (const store of ['old', 'new'] as const) {
    await step(`a table without a workflow, primary set to ${store}`, async () => {
      await editRules(cluster.consul, `bench: ${plainTable} to ${store}`, setPlain(store));
      return [await untilServedBy(cluster, store)];
    });
  }
  await step('a malformed document', () => checkMalformed(cluster));
  await step('a stale document', () => checkStale(cluster));
  await step('a document against the fence', () => checkFenced(cluster));
  return found.filter((problem) => problem !== null);
}
