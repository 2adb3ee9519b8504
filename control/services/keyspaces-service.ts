import { type Keyspace, placeOf, type Shard } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { isActive } from '../../core/workflow-document.ts';
import type { KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import type { ControlDeps } from '../move.ts';
import type { Stores } from '../stores.ts';
import type { LogLimits } from '../upkeep/log-guard.ts';
import { checkKeyspace } from './check-keyspace.ts';
import { decodeKeyspace } from './decode-keyspace.ts';

/** What the upkeep of this process knows, and goes by. */
export interface KeptKeyspaces {
  /** Why a keyspace's store could not be prepared yet. */
  readonly problemOf: (keyspace: string) => string | null;
  readonly logLimits: LogLimits;
}

/** Keyspaces. The first one that is applied becomes the default of the first rules. */
export function keyspacesService(deps: ControlDeps, stores: Stores, { problemOf, logLimits }: KeptKeyspaces): RpcImplementation<typeof KeyspaceService> {
  const { topology, controlId } = deps;
  const find = async (name: string, signal: AbortSignal): Promise<Keyspace> => {
    const stored = (await topology.keyspaces(signal)).find((entry) => entry.value.name === name);
    if (stored === undefined) throw new SwitchyardError('KEYSPACE_UNKNOWN', `there is no keyspace "${name}"`, { metadata: { keyspace: name } });
    return stored.value;
  };
  /** The tables in this keyspace, and those that are being moved in the one at the other end. */
  const alsoMovedTo = async (
    keyspace: Keyspace,
    tables: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly { readonly keyspace: Keyspace; readonly tables: readonly string[] }[]> => {
    const found = [{ keyspace, tables }];
    for (const { value } of await topology.workflows(signal)) {
      const moved = tables.filter((table) => value.tables.includes(table));
      const other = value.source === keyspace.name ? value.target : value.target === keyspace.name ? value.source : null;
      if (other !== null && moved.length > 0 && isActive(value.state)) found.push({ keyspace: await find(other, signal), tables: moved });
    }
    return found;
  };
  const shown = (keyspace: Keyspace) => ({ ...keyspace, problem: problemOf(keyspace.name) ?? '' });
  return {
    async applyKeyspace({ keyspace: message, validateOnly }, { signal }) {
      const keyspace = decodeKeyspace(message);
      for (const shard of keyspace.shards) stores.backendOf(shard, keyspace.name);
      const stored = (await topology.keyspaces(signal)).map((entry) => entry.value);
      if (placesOf(stored.find(({ name }) => name === keyspace.name)) !== placesOf(keyspace)) {
        checkStoreIsFree(keyspace, stored);
        await checkNotMoving(keyspace, topology, signal);
      }
      if (!validateOnly) {
        await topology.putKeyspace(keyspace, signal);
        await topology.initialRules({ by: `control ${controlId}`, reason: `first keyspace ${keyspace.name}` }, keyspace.name, signal);
      }
      const missing = await stores.missingSecrets(keyspace);
      return { keyspace, notes: missing.map(({ message }) => message) };
    },
    getKeyspace: async ({ name }, { signal }) => ({ keyspace: shown(await find(name, signal)) }),
    listKeyspaces: async (_, { signal }) => ({
      keyspaces: (await topology.keyspaces(signal)).map((entry) => shown(entry.value)).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    }),
    async checkKeyspace({ name }, { signal }) {
      const findings = await checkKeyspace(await find(name, signal), { stores, clock: deps.clock, logLimits }, signal);
      const unprepared = problemOf(name);
      // A store that is not prepared is the consequence of whatever was found; alone it is a finding of its own.
      if (findings.length > 0 || unprepared === null) return { findings: [...findings] };
      const message = `the store is not prepared and refuses writes with a request id: ${unprepared}`;
      return {
        findings: [
          {
            message,
            fix: `control goes on trying; let it reach the store (a file that a move is to make needs nothing), and give the owner its rights: switchyard keyspace grants ${name}`,
          },
        ],
      };
    },
    async watchTables({ name, tables, off }, { signal }) {
      const keyspace = await find(name, signal);
      const places = tables.length === 0 ? [] : await alsoMovedTo(keyspace, tables, signal);
      const able = places.filter(({ keyspace: { shards } }) => shards.every(({ kind }) => stores.capabilitiesOf(kind).watching));
      const unable = places.find((place) => !able.includes(place));
      if (unable !== undefined && !off) {
        throw new SwitchyardError(
          'NOT_SUPPORTED',
          `keyspace "${unable.keyspace.name}", where ${unable.tables.join(', ')} would be watched too, is a store of a kind that does not write down changes for watchers`,
        );
      }
      for (const each of able) {
        await using opened = await stores.open(each.keyspace);
        await opened.owner.watch(each.tables, !off, signal);
      }
      await using opened = await stores.open(keyspace);
      return { tables: [...(await opened.owner.watched(signal))] };
    },
    async getKeyspaceGrants({ name, tables }, { signal }) {
      const keyspace = await find(name, signal);
      return { script: keyspace.shards.map((shard) => stores.backendOf(shard, name).grantScript(shard, tables)).join('\n') };
    },
  };
}

const placesOf = (keyspace: Keyspace | undefined): string => JSON.stringify(keyspace?.shards.map((shard) => [shard.kind, placeOf(shard)]));

/** A store belongs to one keyspace: its schema `switchyard` is installed for one gateway and one player login, and under a second name a table would have a route of its own. */
function checkStoreIsFree({ name, shards }: Keyspace, stored: readonly Keyspace[]): void {
  const taken = (shard: Shard) => stored.find((other) => other.name !== name && other.shards.some((its) => its.kind === shard.kind && placeOf(its) === placeOf(shard)));
  for (const [index, shard] of shards.entries()) {
    const owner = taken(shard);
    if (owner === undefined) continue;
    throw new SwitchyardError(
      'KEYSPACE_INVALID',
      `keyspace.shards.${index}: the store ${placeOf(shard)} is keyspace "${owner.name}" already: use that name, or give another database`,
    );
  }
}

/** A workflow's stores must stay the same ones: fences and streams live in them. */
async function checkNotMoving({ name }: Keyspace, topology: ControlDeps['topology'], signal: AbortSignal): Promise<void> {
  const moving = (await topology.workflows(signal)).find(({ value }) => isActive(value.state) && (value.source === name || value.target === name));
  if (moving === undefined) return;
  throw new SwitchyardError('WORKFLOW_STATE', `workflow ${moving.value.name} moves tables of keyspace ${name}: complete or cancel it before the keyspace gets another store`);
}
