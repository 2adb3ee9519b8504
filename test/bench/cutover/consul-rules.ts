import { randomUUID } from 'node:crypto';
import { type Registration, registrationSchema } from '../../../core/registration.ts';
import type { RulesDocument } from '../../../core/rules-document.ts';
import type { WorkflowDocument } from '../../../core/workflow-document.ts';
import { clusterName } from '../../support/cluster/process-config.ts';
import type { TopologyServer } from '../../support/servers/topology-server.ts';

const prefix = `switchyard/${clusterName}/`;
export const rulesKey = `${prefix}rules`;
const casAttempts = 20;

type MutableDocument = { -readonly [F in keyof RulesDocument]: RulesDocument[F] };

/** The document as it stands, with the index that a compare-and-set needs, by the real `consul kv get`. */
export async function getRules(consul: TopologyServer): Promise<{ readonly document: RulesDocument; readonly index: number }> {
  const text = await consul.kv('get', '-detailed', rulesKey);
  const index = /^ModifyIndex\s+(\d+)$/m.exec(text)?.[1];
  const value = /^Value\s+(\{.*\})$/m.exec(text)?.[1];
  if (index === undefined || value === undefined) throw new Error(`no rules document in what consul says: ${text.slice(0, 500)}`);
  return { document: JSON.parse(value) as RulesDocument, index: Number(index) };
}

/** Puts any text under the rules key by the real `consul kv put -cas`. Rejects when somebody else was faster. */
export async function putRules(consul: TopologyServer, text: string, index: number): Promise<void> {
  await consul.kv('put', '-cas', `-modify-index=${index}`, rulesKey, text);
}

/** What an operator does: get, edit, put -cas; again when somebody else was faster. The version is one higher unless `edit` sets another. Returns what was put. */
export async function editRules(consul: TopologyServer, reason: string, edit: (document: MutableDocument) => void): Promise<RulesDocument> {
  let last: unknown;
  for (let attempt = 0; attempt < casAttempts; attempt += 1) {
    const { document, index } = await getRules(consul);
    const next: MutableDocument = {
      ...structuredClone(document),
      version: document.version + 1,
      nonce: randomUUID(),
      changedBy: 'consul kv put',
      changedAt: new Date().toISOString(),
      reason,
    };
    edit(next);
    try {
      await putRules(consul, JSON.stringify(next), index);
      return next;
    } catch (error) {
      last = error;
    }
  }
  throw new Error('the rules changed faster than they could be edited', { cause: last });
}

/** `missing` is what a key that is not there, or a folder without keys, stands for; left out: an error. */
async function read(consul: TopologyServer, query: string, missing?: string): Promise<string> {
  const response = await fetch(`${consul.address}/v1/kv/${query}`, { signal: AbortSignal.timeout(5_000) });
  if (response.status === 404 && missing !== undefined) return missing;
  if (!response.ok) throw new Error(`Consul answered ${response.status} for ${query}`);
  return response.text();
}

/** Straight from Consul's HTTP API, for looking often. Throws where the text under the key is no document. */
export const readRules = async (consul: TopologyServer): Promise<RulesDocument> => JSON.parse(await read(consul, `${rulesKey}?raw&consistent`)) as RulesDocument;
export const readWorkflow = async (consul: TopologyServer, name: string): Promise<WorkflowDocument> =>
  JSON.parse(await read(consul, `${prefix}workflows/${name}?raw&consistent`)) as WorkflowDocument;

/** Every gateway's own words about the rules; a gateway that has just started may not have said any. */
export async function readRegistrations(consul: TopologyServer): Promise<readonly Registration[]> {
  const entries = JSON.parse(await read(consul, `${prefix}gateways/?recurse&consistent`, '[]')) as readonly { readonly Value: string }[];
  return entries.map(({ Value }) => registrationSchema.parse(JSON.parse(Buffer.from(Value, 'base64').toString('utf8'))));
}
