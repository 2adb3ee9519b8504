import { ownMember } from '../../core/own-member.ts';
import { Movement_Side, type RoutingRules, type TableRule } from '../../gen/switchyard/control/v1/rules_pb.ts';
import { moment } from './figures.ts';
import { textTable } from './text-table.ts';

function movementText({ movement }: TableRule): string {
  if (movement === undefined) return '';
  const want = movement.want === Movement_Side.TARGET ? 'target' : 'source';
  return `${movement.workflow}: ${movement.source} → ${movement.target}, want ${want}`;
}

/** A document as a table, for people. */
export function rulesText(rules: RoutingRules): string {
  const head = `rules version ${rules.version}, by ${rules.changedBy || '–'} at ${moment(rules.changedAt)}${rules.reason === '' ? '' : `: ${rules.reason}`}\ndefault keyspace ${rules.defaultKeyspace}`;
  const redirected = Object.entries(rules.keyspaces).map(([from, to]) => `keyspace ${from} is served by ${to}`);
  const rows = Object.entries(rules.tables).map(([name, rule]) => [name, rule.primary, String(rule.attempt), rule.hold === undefined ? 'open' : 'held', movementText(rule)]);
  const table = textTable(
    [{ title: 'TABLE' }, { title: 'PRIMARY' }, { title: 'ATTEMPT', align: 'right' }, { title: 'WRITES' }, { title: 'MOVEMENT' }],
    rows,
    'no rules: every table is served by the default keyspace',
  );
  return [head, ...redirected, '', table].join('\n');
}

const fields: readonly (readonly [string, (rule: TableRule) => string])[] = [
  ['primary', (rule) => rule.primary],
  ['attempt', (rule) => String(rule.attempt)],
  ['writes', (rule) => (rule.hold === undefined ? 'open' : 'held')],
  ['movement', (rule) => movementText(rule) || 'none'],
  ['names', (rule) => rule.names.toSorted().join(', ') || 'none'],
];

function tableDifference(name: string, before: TableRule | undefined, after: TableRule | undefined): readonly string[] {
  if (after === undefined) return [`- table ${name} (primary ${before?.primary})`];
  if (before === undefined) return [`+ table ${name}: ${fields.map(([field, of]) => `${field} ${of(after)}`).join(', ')}`];
  return fields.filter(([, of]) => of(before) !== of(after)).map(([field, of]) => `~ table ${name}: ${field} ${of(before)} → ${of(after)}`);
}

/** What leads from one document to another, a line each: "+" is new, "-" gone, "~" changed. Empty: the same routing, whoever wrote it when. */
export function rulesDifference(before: RoutingRules, after: RoutingRules): readonly string[] {
  const keys = (one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): readonly string[] =>
    [...new Set([...Object.keys(one), ...Object.keys(other)])].toSorted();
  return [
    ...(before.defaultKeyspace === after.defaultKeyspace ? [] : [`~ default keyspace ${before.defaultKeyspace} → ${after.defaultKeyspace}`]),
    ...keys(before.keyspaces, after.keyspaces)
      .map((name) => ({ name, from: ownMember(before.keyspaces, name), to: ownMember(after.keyspaces, name) }))
      .filter(({ from, to }) => from !== to)
      .map(({ name, from, to }) => `~ keyspace ${name}: served by ${from ?? 'itself'} → ${to ?? 'itself'}`),
    ...keys(before.tables, after.tables).flatMap((name) => tableDifference(name, ownMember(before.tables, name), ownMember(after.tables, name))),
  ];
}
