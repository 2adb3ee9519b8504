import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { crc32 } from 'node:zlib';
import { ConfigError } from '../../../runtime/config-file.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { TopologyStore } from '../../../topo/embedded/state/topology-store.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const entry: Json = { key: 'switchyard/x/rules', value: 'e30=', flags: 0, createIndex: 2, modifyIndex: 3, lockIndex: 0, session: '' };
const session: Json = { id: '00000000-0000-4000-8000-000000000000', name: 'n', behavior: 'release', ttl: '10s', ttlMs: 10_000, lockDelayMs: 0, createIndex: 4 };
const change: Json = { index: 5, puts: [entry], deletes: ['gone'], sessions: [session], ended: ['other'] };
const records: readonly Json[] = [
  { changes: [change] },
  { changes: [change, change] },
  { marks: { index: 9, kvIndex: 8, sessionIndex: 4, reapedIndex: 1, tombstones: [['gone', 5]] } },
];

/** A line of the log with its true checksum. */
const line = (text: string): string => `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;

function logOf(random: Random): Buffer {
  const stray = random.pick([0, 0, 2, 6]);
  return Buffer.from([line('{"format":"switchyard-topology-1"}'), ...Array.from({ length: random.below(5) }, () => line(strayJson(random, random.pick(records), stray)))].join(''));
}

/** The embedded topology's log on disk: it is restored, or refused by its path. */
export const target: FuzzTarget = {
  name: 'topology-file',
  words: ['\n', ' ', '{"changes":[]}', '{"marks":', '00000000 '],
  changedPercent: 30,
  generate: logOf,
  open: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'switchyard-fuzz-'));
    const open = (): Promise<TopologyStore> =>
      TopologyStore.open({
        directory,
        clock: systemClock,
        compactAtBytes: 1 << 20,
        onTorn: () => {},
        onFailure: (error) => {
          throw error;
        },
      });
    const content = async (): Promise<unknown> => {
      await using store = await open();
      return [store.state.index, store.state.kvIndex, store.state.sessionIndex, store.state.tree(''), store.state.sessions()];
    };
    return {
      run: async (input) => {
        await writeFile(join(directory, 'topology.log'), input);
        return await outcomeOf(async () => {
          must(isDeepStrictEqual(await content(), await content()), 'a log that was restored is not restored alike again');
        }, [ConfigError]);
      },
      [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
    };
  },
};
