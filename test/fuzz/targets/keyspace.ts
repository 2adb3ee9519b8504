import { isDeepStrictEqual } from 'node:util';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { backends } from '../../../backends/registry.ts';
import { decodeKeyspace } from '../../../control/services/decode-keyspace.ts';
import { fileShard, keyspaceSchema, type Shard, serverShard, serviceShard } from '../../../core/keyspace.ts';
import type { SwitchyardError } from '../../../core/switchyard-error.ts';
import { KeyspaceSchema } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { decodeDocument, encodeDocument } from '../../../topo/document-codec.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { sqlSkeleton, sqlWithoutNames } from '../inputs/sql-skeleton.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { reasonOf } from '../verdict.ts';

const longestMessage = 2_000;
/** Names that would end a comment, a text in dollars or a quoted name for whoever puts them there as they are. */
const breaking = ['shop\nDROP TABLE canary; --', 'shop\rDROP TABLE canary; --', '$script$; DROP TABLE canary; DO $script$', '$$', '*/ DROP TABLE canary; /*', 'a\\', '$script'];
const secrets = ['env:SHOP', 'file:/run/secrets/shop', 'env:', 'file:x', 'secret'];

function sample(random: Random): Json {
  const name = (): string => (random.chance(30) ? random.pick([...breaking, ...nastyTexts]).toWellFormed() : 'shop');
  const login = (): Json => ({ user: name(), password: random.chance(90) ? 'env:SHOP' : random.pick(secrets) });
  const server = (): Json => ({ kind: random.pick(['postgres', 'mariadb']), host: name(), port: 5432, database: name(), gateway: login(), player: login(), owner: login() });
  const file = (): Json => ({ kind: 'sqlite', path: random.chance(70) ? '/var/lib/shop.db' : `/${name()}` });
  const service = (): Json => ({
    kind: random.pick(['grpc', 'http']),
    gateways: [random.chance(90) ? 'db:7101' : name()],
    ...(random.chance(50) ? { control: ['db:7201'], player: login(), owner: login() } : {}),
    keyspace: random.chance(90) ? 'theirs' : name(),
    ...(random.chance(20) ? { mapping: '/etc/mapping.yaml' } : {}),
    gateway: login(),
  });
  const shard = (): Json => (random.chance(15) ? service() : random.chance(70) ? server() : random.chance(90) ? file() : { ...(server() as object), ...(file() as object) });
  const tables: readonly Json[] = Array.from({ length: random.size(5) }, name);
  return { keyspace: { name: random.chance(90) ? 'shop' : name(), shards: random.chance(95) ? [shard()] : [shard(), shard()] }, tables };
}

/** The script with these names does what it does with plain ones. */
function sameScript(shard: Shard, tables: readonly string[]): void {
  const backend = backends.get(shard.kind);
  if (backend === undefined || 'gateways' in shard || backend.shardForm === 'service' || (backend.shardForm === 'file') !== 'path' in shard) return;
  const login = { user: 'shop', password: 'env:SHOP' };
  const plain: Shard = 'path' in shard ? shard : { ...shard, database: 'shop', gateway: login, player: login, owner: login };
  const plainTables = tables.map(() => 'orders');
  const bare = (script: string): string => (shard.kind === 'mariadb' ? sqlWithoutNames('mariadb', script) : sqlSkeleton(script));
  must(bare(backend.grantScript(shard, tables)) === bare(backend.grantScript(plain, plainTables)), 'a name is taken for SQL in the script of rights');
}

/** Keyspaces as `keyspace apply` sends them, `{ keyspace, tables }` in JSON, and the scripts that are made of them: each is taken as it was given, or refused by the field that is wrong. */
export const target: FuzzTarget = {
  name: 'keyspace',
  words: [
    '"shards"',
    '"path"',
    '"host"',
    '"port"',
    '"kind"',
    '"postgres"',
    '"mariadb"',
    '"http"',
    '"gateways"',
    '"control"',
    '"sqlite"',
    '"user"',
    '"password"',
    '"env:SHOP"',
    '"tables"',
    '\\n',
    '$script$',
    '__proto__',
  ],
  changedPercent: 15,
  generate: (random) => Buffer.from(strayJson(random, sample(random), random.pick([0, 0, 0, 3]))),
  open: async () => ({
    run: (input) => {
      let given: { readonly keyspace?: JsonValue; readonly tables?: unknown } | null;
      let message: Parameters<typeof decodeKeyspace>[0];
      try {
        given = JSON.parse(input.toString()) as typeof given;
        message = given?.keyspace === undefined ? undefined : fromJson(KeyspaceSchema, given.keyspace);
      } catch {
        return 'no message';
      }
      let keyspace: ReturnType<typeof decodeKeyspace>;
      try {
        keyspace = decodeKeyspace(message);
      } catch (error) {
        const reason = reasonOf(error);
        const text = (error as SwitchyardError).message;
        must(/^keyspace(\.[\w.]+)?: ./.test(text), `no field is named: ${text}`);
        must(text.length < longestMessage, `a message of ${text.length} characters`);
        return reason;
      }
      const stored = decodeDocument(keyspaceSchema, encodeDocument(keyspace));
      must(stored.kind === 'valid' && isDeepStrictEqual(stored.value, keyspace), 'a keyspace is not read as it is written');
      must(keyspace.name === message?.name && keyspace.shards.length === message.shards.length, 'another keyspace than was given');
      const tables = Array.isArray(given?.tables) ? given.tables.filter((table): table is string => typeof table === 'string') : [];
      try {
        for (const shard of keyspace.shards) {
          if ('path' in shard) fileShard(shard);
          else if ('gateways' in shard) serviceShard(shard);
          else serverShard(shard);
          sameScript(shard, tables);
        }
      } catch (error) {
        return reasonOf(error);
      }
      return 'value';
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};
