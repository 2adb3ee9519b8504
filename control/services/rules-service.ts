import { type RulesDocument, rulesDocumentSchema } from '../../core/rules-document.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RulesService } from '../../gen/switchyard/control/v1/rules_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { ControlDeps } from '../move.ts';
import { decodeRules, encodeRules } from './encode-rules.ts';
import { pageLimit } from './paging.ts';

/** The rules as people and programs change them beside control. */
export function rulesService({ topology, controlId }: ControlDeps): RpcImplementation<typeof RulesService> {
  return {
    async getRules(_, { signal }) {
      const snapshot = await topology.readRules(signal);
      if (snapshot.kind === 'missing') throw new SwitchyardError('RULES_MISSING', 'there are no rules yet: apply a keyspace first');
      if (snapshot.kind === 'invalid') throw new SwitchyardError('RULES_INVALID', `the current document is invalid: ${snapshot.message}`);
      const [newest] = await topology.history(1, null, signal);
      return { rules: encodeRules(snapshot.document, newest?.document.nonce === snapshot.document.nonce && newest.external) };
    },

    async updateRules({ rules, baseVersion, validateOnly }, { signal }) {
      if (rules === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'rules: give the whole document');
      const wanted = decodeRules(rules);
      const known = new Set((await topology.keyspaces(signal)).map((entry) => entry.value.name));
      const checked = (current: RulesDocument): RulesChange => {
        if (BigInt(current.version) !== baseVersion) {
          throw new SwitchyardError('RULES_STALE', `base_version: the change was made from version ${baseVersion}, current is ${current.version}: read again and repeat it`);
        }
        checkChange(current, wanted, known);
        return wanted;
      };
      if (validateOnly) {
        const snapshot = await topology.readRules(signal);
        if (snapshot.kind !== 'valid') throw new SwitchyardError('RULES_MISSING', 'there are no valid rules to change');
        return { rules: encodeRules({ ...snapshot.document, ...checked(snapshot.document), reason: rules.reason }, false) };
      }
      const by = rules.changedBy === '' ? `control ${controlId}` : rules.changedBy;
      return { rules: encodeRules(await topology.updateRules({ by, reason: rules.reason }, checked, signal), false) };
    },

    async listRulesHistory({ pageSize, pageToken }, { signal }) {
      const limit = pageLimit(pageSize, 20, 100);
      const before = pageToken === '' ? null : Number(pageToken);
      if (before !== null && !(Number.isSafeInteger(before) && before > 0)) throw new SwitchyardError('PAGE_TOKEN_INVALID', 'page_token: not one of ours');
      const entries = await topology.history(limit, before, signal);
      const last = entries.length === limit ? entries.at(-1) : undefined;
      return { rules: entries.map(({ document, external }) => encodeRules(document, external)), nextPageToken: last === undefined ? '' : String(last.document.version) };
    },
  };
}

/** What an operator may not do to rules, because nobody could follow them or because a workflow owns the table. */
export function checkChange(current: RulesDocument, wanted: RulesChange, known: ReadonlySet<string>): void {
  const parsed = rulesDocumentSchema.safeParse({ ...current, ...wanted });
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new SwitchyardError('RULES_INVALID', issue === undefined ? 'the document is invalid' : `${issue.path.join('.')}: ${issue.message}`);
  }
  const named: [string, string][] = [
    ['default_keyspace', wanted.defaultKeyspace],
    ...Object.entries(wanted.keyspaces).map(([name, to]): [string, string] => [`keyspaces.${name}`, to]),
    ...Object.entries(wanted.tables).map(([key, rule]): [string, string] => [`tables.${key}.primary`, rule.primary]),
  ];
  for (const [field, keyspace] of named) if (!known.has(keyspace)) throw new SwitchyardError('KEYSPACE_UNKNOWN', `${field}: there is no keyspace "${keyspace}"`);
  for (const key of new Set([...Object.keys(current.tables), ...Object.keys(wanted.tables)])) checkOwned(current, wanted, key);
}

/** Of a table that a workflow owns only the wanted side may change. */
function checkOwned(current: RulesDocument, wanted: RulesChange, key: string): void {
  const before = current.tables[key];
  const after = wanted.tables[key];
  const workflow = before?.movement?.workflow ?? after?.movement?.workflow;
  if (workflow === undefined) return;
  const shape = (rule: typeof before): string =>
    JSON.stringify(
      rule === undefined ? null : { ...rule, names: rule.names.toSorted(), movement: rule.movement === undefined ? null : { ...rule.movement, want: null } },
      sortedKeys,
    );
  if (shape(before) === shape(after)) return;
  throw new SwitchyardError('TABLE_OWNED', `tables.${key}: workflow ${workflow} owns the table; only movement.want may be changed`, { metadata: { table: key, workflow } });
}

/** Makes equal objects equal texts, whatever the order of their fields. */
function sortedKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
