import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { buildRoutingTable } from '../../../core/routing-table.ts';
import { rulesDirectory } from '../../../gateway/rules/rules-directory.ts';
import { SavedRulesKeeper } from '../../../gateway/rules/saved-rules.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const sample: Json = {
  rules: {
    version: 3,
    nonce: 'n',
    changedBy: 'c',
    changedAt: 'now',
    defaultKeyspace: 'old',
    tables: {
      orders: { primary: 'old', writes: 'held', hold: { holdMs: 10, attempt: 1 }, movement: { workflow: 'move', source: 'old', target: 'new', want: 'source' } },
      leaving: { primary: 'far', writes: 'held', hold: { attempt: 1 }, movement: { workflow: 'leave', source: 'far', target: 'new', want: 'target', barrier: true } },
    },
  },
  keyspaces: [
    { name: 'old', shards: [{ kind: 'sqlite', path: '/tmp/old.db' }] },
    { name: 'new', shards: [{ kind: 'sqlite', path: '/tmp/new.db' }] },
    { name: 'far', shards: [{ kind: 'http', gateways: ['db:80'], mapping: '/etc/mapping.yaml' }] },
  ],
};

/** The file with which a gateway starts while Consul is away: it is read as it was written, or refused with what is wrong in it. */
export const target: FuzzTarget = {
  name: 'saved-rules',
  words: ['"rules"', '"keyspaces"', '"tables"', '"version"', '__proto__', 'constructor', '\ufeff'],
  generate: (random) => Buffer.from(strayJson(random, sample, random.pick([0, 2, 6]))),
  open: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-fuzz-'));
    const again = await mkdtemp(join(tmpdir(), 'switchyard-fuzz-'));
    const fail = (error: unknown): never => {
      throw error;
    };
    return {
      run: async (input) => {
        await writeFile(join(directory, 'last-good-rules.json'), input);
        return await outcomeOf(async () => {
          const saved = await new SavedRulesKeeper(rulesDirectory(directory), fail).load();
          must(saved !== null, 'there is a file, and nothing was read');
          buildRoutingTable(saved.rules, new Set(saved.keyspaces.map(({ name }) => name)), null);
          const file = new SavedRulesKeeper(rulesDirectory(again), fail);
          file.keep(saved);
          await file.flush();
          must(isDeepStrictEqual(await file.load(), saved), 'the rules are not read as they are written');
        }, [SyntaxError, TypeError, z.ZodError]);
      },
      [Symbol.asyncDispose]: async () => {
        await Promise.all([rm(directory, { recursive: true }), rm(again, { recursive: true })]);
      },
    };
  },
};
