import { isDeepStrictEqual } from 'node:util';
import { type DescMethod, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { Movement_Side, type RoutingRulesSchema, RulesService, type UpdateRulesRequest } from '../../../gen/switchyard/control/v1/rules_pb.ts';
import type { WorkflowSchema } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import type { KeyspaceSchema } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { workflowStates } from '../../../core/workflow-document.ts';
import { ControlApi, controlMethods } from '../inputs/control-api.ts';
import { type Hint, randomBytesOf } from '../inputs/random-message.ts';
import { sqlTable, tableNames } from '../inputs/shop-file.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';

const { updateRules } = RulesService.method;
const keyspaces = ['old', 'new', 'shop', 'fresh'];

/** Fills fields with what is there, but for some. */
function hintOf(random: Random): Hint {
  const stray = random.pick([0, 4, 20]);
  const text = (): string => random.pick(nastyTexts).toWellFormed();
  const some = (names: readonly string[]): string => (random.chance(stray) ? text() : random.pick(names));
  const login = () => ({ user: some(['shop']), password: some(['env:SHOP', 'env:NONE', 'file:/dev/null', 'file:/dev/zero']) });
  const shard = () =>
    random.chance(50)
      ? { kind: 'sqlite', path: some(['/nowhere/at/all.db']) }
      : {
          kind: some(['postgres', 'mariadb', 'sqlite']),
          host: some(['db']),
          port: random.chance(stray) ? -1 : 5432,
          database: some(['shop']),
          gateway: login(),
          player: login(),
          owner: login(),
        };
  const keyspace = (): MessageInitShape<typeof KeyspaceSchema> => ({ name: some(keyspaces), shards: random.chance(stray) ? [] : [shard()] });
  const names = (): string[] => Array.from({ length: 1 + random.size(4) }, () => (random.chance(80) ? 'item' : some(['old.item', sqlTable, ...tableNames])));
  const workflow = (): MessageInitShape<typeof WorkflowSchema> => ({
    name: some(['another', 'again']),
    source: some(['old']),
    target: some(['new']),
    tables: names(),
    limits: random.chance(90) ? {} : { holdBudgetMs: random.pick([0, 7, 250]), attempts: random.pick([-1, 0, 3]) },
  });
  const owned = { primary: 'old', names: ['old.line', 'new.line'], movement: { workflow: 'running', source: 'old', target: 'new', want: Movement_Side.SOURCE } };
  const rules = (): MessageInitShape<typeof RoutingRulesSchema> => ({
    changedBy: some(['somebody']),
    reason: some(['why']),
    defaultKeyspace: some(['old']),
    keyspaces: random.chance(80) ? {} : { [some(['shop'])]: some(['old']) },
    tables: {
      ...(random.chance(stray) ? {} : { line: owned }),
      ...Object.fromEntries(names().map((name) => [random.chance(30) ? text() : name, { primary: some(['old', 'new']), names: random.chance(70) ? [] : [text()] }])),
    },
  });
  return (field, _, depth) => {
    switch (field.name) {
      case 'rules':
        return random.chance(70) ? rules() : undefined;
      case 'keyspace':
        return keyspace();
      case 'name':
        return depth === 0 ? some([...workflowStates, ...keyspaces]) : some(['another', ...workflowStates]);
      case 'source':
        return random.chance(70) ? 'old' : some(keyspaces);
      case 'target':
        return random.chance(70) ? 'new' : some(keyspaces);
      case 'primary':
      case 'default_keyspace':
        return some(keyspaces);
      case 'tables':
        return field.fieldKind === 'list' && field.listKind === 'scalar' ? names() : undefined;
      case 'workflow':
        if (field.fieldKind !== 'message') return some(workflowStates);
        return random.chance(70) ? workflow() : undefined;
      case 'id':
        return some(['gateway-1', 'gateway-2']);
      case 'base_version':
        return random.chance(stray) ? undefined : 2n;
      case 'limits':
        return random.chance(70) ? {} : undefined;
      case 'page_token':
        return random.chance(60) ? '' : some(['2', 'running', '1e3', ' 2 ']);
      case 'hold_ms':
        return random.chance(stray) ? undefined : 100;
      default:
        return undefined;
    }
  };
}

/** A rule that is silently left out would pass for one that is in force. */
async function sameTables({ topology }: ControlApi, { rules, validateOnly }: UpdateRulesRequest): Promise<void> {
  if (validateOnly) return;
  const stored = await topology.readRules(new AbortController().signal);
  must(stored.kind === 'valid', 'the rules that were taken are not valid');
  const [asked, kept] = [rules?.tables ?? {}, stored.document.tables].map((tables) => Object.keys(tables).toSorted());
  must(isDeepStrictEqual(asked, kept), `rules were given for ${String(asked)}, and taken for ${String(kept)}`);
}

/** Control's API, from the request's bytes to the answer's. The first byte chooses the method. */
export const target: FuzzTarget = {
  name: 'control',
  words: [...keyspaces, ...workflowStates, ...tableNames, 'gateway-1', 'env:SHOP', '\x0a', '\x12', '\x1a', '\x08\x01', '\xff\xff\xff\xff\x0f'],
  changedPercent: 25,
  generate: (random) => {
    const at = random.below(controlMethods.length);
    return Buffer.concat([Buffer.from([at]), randomBytesOf((controlMethods[at] as DescMethod).input, random, hintOf(random))]);
  },
  open: async () => {
    const api = await ControlApi.open();
    return {
      run: async (input) => {
        const method = controlMethods[(input[0] ?? 0) % controlMethods.length] as DescMethod;
        const outcome = await api.answer(method, input.subarray(1));
        if (method === updateRules && outcome === 'value') await sameTables(api, fromBinary(updateRules.input, input.subarray(1)));
        api.restore();
        return `${method.name}: ${outcome}`;
      },
      check: async () => api.file.checkUntouched(),
      [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
    };
  },
};
