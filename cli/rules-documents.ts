import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { InvalidArgumentError } from 'commander';
import { parse, stringify } from 'yaml';
import type { RpcClient } from '../client/rpc-client.ts';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import { type RoutingRules, RoutingRulesSchema, type RulesService } from '../gen/switchyard/control/v1/rules_pb.ts';

type Rules = RpcClient<typeof RulesService>;
const pageSize = 100;

/** A version on the command line: a whole number above 0. */
export function versionNumber(text: string): bigint {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new InvalidArgumentError('must be a version, such as 17; see: switchyard rules history');
  return BigInt(text);
}

/** The document in force. RULES_MISSING when there is none. */
export async function currentRules(client: Rules): Promise<RoutingRules> {
  const { rules } = await client.getRules({});
  if (rules === undefined) throw new SwitchyardError('RULES_MISSING', 'there are no rules yet: apply a keyspace first');
  return rules;
}

/** What a change has to begin from: the document in force, or, where somebody wrote one that nobody can read, the last good one (then `isInForce` is false and writing even that again changes something). */
export async function baseRules(client: Rules): Promise<{ readonly rules: RoutingRules; readonly isInForce: boolean }> {
  try {
    return { rules: await currentRules(client), isInForce: true };
  } catch (error) {
    if (!hasReason(error, 'RULES_INVALID')) throw error;
    const [newest] = (await client.listRulesHistory({ pageSize: 1 })).rules;
    if (newest === undefined) throw error;
    return { rules: newest, isInForce: false };
  }
}

/** The document that is recorded before the newest one; the newest itself when there is no other. */
export async function rulesBefore(client: Rules, current: RoutingRules): Promise<RoutingRules> {
  const { rules } = await client.listRulesHistory({ pageSize: 2 });
  return rules.find((one) => one.version < current.version) ?? current;
}

/** The document that is recorded under this version. ARGUMENT_INVALID when the history has none of it, or several. */
export async function rulesOfVersion(client: Rules, version: bigint): Promise<RoutingRules> {
  let pageToken = '';
  do {
    const page = await client.listRulesHistory({ pageSize, pageToken });
    const [found, twin] = page.rules.filter((rules) => rules.version === version);
    if (found !== undefined && twin !== undefined)
      throw new SwitchyardError(
        'ARGUMENT_INVALID',
        `the history has more than one document with version ${version}: somebody wrote past control; choose by content from: switchyard -o json rules history, and use rules apply`,
      );
    if (found !== undefined) return found;
    const oldest = page.rules.at(-1)?.version;
    if (oldest === undefined || oldest < version) break;
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  throw new SwitchyardError('ARGUMENT_INVALID', `the history has no version ${version}; see: switchyard rules history`);
}

/** Reads JSON or YAML as `switchyard -o json rules get` and `rules edit` write it. RULES_INVALID names what is wrong. */
export function parseRules(text: string, origin: string): RoutingRules {
  try {
    const given = parse(text) as JsonValue;
    return fromJson(RoutingRulesSchema, typeof given === 'object' && given !== null && 'rules' in given ? (given as { rules: JsonValue }).rules : given);
  } catch (cause) {
    throw new SwitchyardError('RULES_INVALID', `${origin}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** As YAML, for an editor. */
export const rulesYaml = (rules: RoutingRules): string => stringify(toJson(RoutingRulesSchema, rules));

/** Tables whose writes are held though no workflow moves them: somebody's own rule, or what a dead coordinator left. */
export const heldByNobody = (rules: RoutingRules): readonly string[] =>
  Object.entries(rules.tables)
    .filter(([, rule]) => rule.hold !== undefined && rule.movement === undefined)
    .map(([name]) => name);
