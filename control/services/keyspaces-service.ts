import { type Credential, type Keyspace, keyspaceSchema, placeOf } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { isActive } from '../../core/workflow-document.ts';
import type { Keyspace as KeyspaceMessage, KeyspaceService, Credential as CredentialMessage, Shard as ShardMessage } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import type { ControlDeps } from '../move.ts';
import type { Stores } from '../stores.ts';

/** Keyspaces. The first one that is applied becomes the default of the first rules. */
export function keyspacesService({ topology, controlId }: ControlDeps, stores: Stores): RpcImplementation<typeof KeyspaceService> {
  const find = async (name: string, signal: AbortSignal): Promise<Keyspace> => {
    const stored = (await topology.keyspaces(signal)).find((entry) => entry.value.name === name);
    if (stored === undefined) throw new SwitchyardError('KEYSPACE_UNKNOWN', `there is no keyspace "${name}"`, { metadata: { keyspace: name } });
    return stored.value;
  };
  return {
    async applyKeyspace({ keyspace: message, validateOnly }, { signal }) {
      const keyspace = decodeKeyspace(message);
      for (const shard of keyspace.shards) stores.backendOf(shard, keyspace.name);
      await checkNotMoving({ keyspace, topology }, signal);
      if (!validateOnly) {
        await topology.putKeyspace(keyspace, signal);
        await topology.initialRules({ by: `control ${controlId}`, reason: `first keyspace ${keyspace.name}` }, keyspace.name, signal);
      }
      return { keyspace };
    },
    getKeyspace: async ({ name }, { signal }) => ({ keyspace: await find(name, signal) }),
    listKeyspaces: async (_, { signal }) => ({
      keyspaces: (await topology.keyspaces(signal)).map((entry) => entry.value).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    }),
    async getKeyspaceGrants({ name, tables }, { signal }) {
      const keyspace = await find(name, signal);
      return { script: keyspace.shards.map((shard) => stores.backendOf(shard, name).grantScript(shard, tables)).join('\n') };
    },
  };
}

function decodeKeyspace(message: KeyspaceMessage | undefined): Keyspace {
  if (message === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'keyspace: must be given');
  const parsed = keyspaceSchema.safeParse({ name: message.name, shards: message.shards.map(decodeShard) });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new SwitchyardError('KEYSPACE_INVALID', issue === undefined ? 'keyspace: invalid' : `keyspace.${issue.path.join('.')}: ${issue.message}`);
}

/** The fields of the form that the shard takes; with a path, whatever else was given is refused by its name. */
function decodeShard({ kind, host, port, database, path, ...credentials }: ShardMessage): Record<string, unknown> {
  const credential = (given: CredentialMessage | undefined): Partial<Credential> | undefined => (given === undefined ? undefined : { user: given.user, password: given.password });
  const logins = { gateway: credential(credentials.gateway), player: credential(credentials.player), owner: credential(credentials.owner) };
  if (path === '') return { kind, host, port, database, ...logins };
  const given = Object.entries({ host, port, database, ...logins }).filter(([, value]) => value !== undefined && value !== '' && value !== 0);
  return { kind, path, ...Object.fromEntries(given) };
}

/** A workflow's stores must stay the same ones: fences and streams live in them. */
async function checkNotMoving({ keyspace, topology }: { readonly keyspace: Keyspace; readonly topology: ControlDeps['topology'] }, signal: AbortSignal): Promise<void> {
  const stored = (await topology.keyspaces(signal)).find((entry) => entry.value.name === keyspace.name);
  const places = (of: Keyspace): string => JSON.stringify(of.shards.map((shard) => [shard.kind, placeOf(shard)]));
  if (stored === undefined || places(stored.value) === places(keyspace)) return;
  const moving = (await topology.workflows(signal)).find(({ value }) => isActive(value.state) && (value.source === keyspace.name || value.target === keyspace.name));
  if (moving === undefined) return;
  throw new SwitchyardError(
    'WORKFLOW_STATE',
    `workflow ${moving.value.name} moves tables of keyspace ${keyspace.name}: complete or cancel it before the keyspace gets another store`,
  );
}
