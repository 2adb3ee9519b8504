import { z } from 'zod';
import { rulesDocumentSchema } from '../core/rules-document.ts';
import type { KvItem } from './kv-client.ts';
import { decodeDocument } from './document-codec.ts';
import type { RulesSnapshot } from './topology.ts';

const versionOnly = z.looseObject({ version: z.number().int().nonnegative() });
const appliedOnly = z.looseObject({ appliedVersion: z.number().int().nonnegative() });

/** What stands under the rules key. */
export function rulesSnapshot(item: KvItem | undefined): RulesSnapshot {
  if (item === undefined) return { kind: 'missing', index: 0 };
  const decoded = decodeDocument(rulesDocumentSchema, item.value);
  if (decoded.kind === 'valid') return { kind: 'valid', document: decoded.value, index: item.modifyIndex };
  const version = versionOnly.safeParse(decoded.raw);
  return { kind: 'invalid', index: item.modifyIndex, version: version.success ? version.data.version : 0, message: decoded.message };
}

/** Highest version that a gateway says it applies; registrations that cannot be read count for nothing. */
export function highestApplied(registrations: Iterable<KvItem>): number {
  let highest = 0;
  for (const item of registrations) {
    const decoded = decodeDocument(appliedOnly, item.value);
    if (decoded.kind === 'valid') highest = Math.max(highest, decoded.value.appliedVersion);
  }
  return highest;
}
