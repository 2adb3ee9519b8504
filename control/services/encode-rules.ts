import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type RulesDocument, type TableRule, tableRuleSchema } from '../../core/rules-document.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Movement_Side, type RoutingRules, RoutingRulesSchema, type TableRule as RuleMessage, TableRuleSchema } from '../../gen/switchyard/control/v1/rules_pb.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { SideName } from '../move.ts';

export const encodeSide = (side: SideName): Movement_Side => (side === 'source' ? Movement_Side.SOURCE : Movement_Side.TARGET);
/** A timestamp knows the years 1 to 9999: what is none of them is left out, as what is no time at all. */
export const encodeTime = (iso: string): ReturnType<typeof timestampFromDate> | undefined => {
  const date = new Date(iso);
  const year = date.getUTCFullYear();
  return year >= 1 && year <= 9_999 ? timestampFromDate(date) : undefined;
};

export function encodeRules(document: RulesDocument, external: boolean): RoutingRules {
  const changedAt = encodeTime(document.changedAt);
  return create(RoutingRulesSchema, {
    version: BigInt(document.version),
    changedBy: document.changedBy,
    ...(changedAt === undefined ? {} : { changedAt }),
    reason: document.reason,
    defaultKeyspace: document.defaultKeyspace,
    tables: Object.fromEntries(Object.entries(document.tables).map(([key, rule]) => [key, encodeRule(rule)])),
    keyspaces: document.keyspaces,
    external,
  });
}

function encodeRule(rule: TableRule): RuleMessage {
  const { hold, movement } = rule;
  const message: MessageInitShape<typeof TableRuleSchema> = {
    primary: rule.primary,
    attempt: BigInt(rule.attempt),
    names: rule.names,
    ...(hold === undefined ? {} : { hold: { holdMs: hold.holdMs ?? 0, attempt: BigInt(hold.attempt) } }),
    ...(movement === undefined
      ? {}
      : {
          movement: { workflow: movement.workflow, source: movement.source, target: movement.target, want: encodeSide(movement.want), barrier: movement.barrier === true },
        }),
  };
  return create(TableRuleSchema, message);
}

/** The content of a message, checked field by field. ARGUMENT_INVALID, RULES_INVALID. */
export function decodeRules(message: RoutingRules): RulesChange {
  // Without a prototype, so that a table called "__proto__" is one here too, and refused with the document.
  const tables: Record<string, TableRule> = Object.create(null);
  for (const [key, rule] of Object.entries(message.tables)) {
    const parsed = tableRuleSchema.safeParse(plainRule(rule));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new SwitchyardError('RULES_INVALID', `tables.${key}${issue === undefined ? '' : `.${issue.path.join('.')}: ${issue.message}`}`);
    }
    tables[key] = parsed.data;
  }
  return { defaultKeyspace: message.defaultKeyspace, keyspaces: { ...message.keyspaces }, tables };
}

function plainRule(rule: RuleMessage): unknown {
  const { hold, movement } = rule;
  return {
    primary: rule.primary,
    attempt: Number(rule.attempt),
    writes: hold === undefined ? 'open' : 'held',
    names: rule.names,
    ...(hold === undefined ? {} : { hold: { ...(hold.holdMs === 0 ? {} : { holdMs: hold.holdMs }), attempt: Number(hold.attempt) } }),
    ...(movement === undefined
      ? {}
      : {
          movement: {
            workflow: movement.workflow,
            source: movement.source,
            target: movement.target,
            want: movement.want === Movement_Side.TARGET ? 'target' : 'source',
            ...(movement.barrier ? { barrier: true } : {}),
          },
        }),
  };
}
