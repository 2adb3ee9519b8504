import { expect, test } from '@jest/globals';
import type { Statements } from '../store-client.ts';
import { serverProblems } from './server-checks.ts';

/* What the servers of the other tests cannot show: settings that only newer ones have. */

const settings = {
  VERSION: '11.4.5-MariaDB',
  LOG_BIN: 'ON',
  BINLOG_FORMAT: 'ROW',
  BINLOG_ROW_IMAGE: 'FULL',
  BINLOG_ROW_METADATA: 'FULL',
  LOG_BIN_TRUST_FUNCTION_CREATORS: 'ON',
  BINLOG_EXPIRE_LOGS_SECONDS: '864000',
};

const found = (more: Readonly<Record<string, string>>) => {
  const query = async (text: string) => ({ rows: text.includes('SLAVES_RUNNING') ? [['0']] : Object.entries({ ...settings, ...more }) });
  return serverProblems({ query } as unknown as Statements, AbortSignal.timeout(1_000));
};

test('a log that is bounded to less than one file of the usual size is named, with the line of the option file', async () => {
  for (const bytes of ['0', '1073741824', '99999999999']) expect(await found({ MAX_BINLOG_TOTAL_SIZE: bytes })).toEqual([]);
  expect(await found({})).toEqual([]);
  expect(await found({ MAX_BINLOG_TOTAL_SIZE: '104857600' })).toEqual([
    {
      table: null,
      message: 'the log is thrown away beyond 104857600 bytes in all, whoever still needs it',
      fix: 'put "max_binlog_total_size = 1073741824", or more, under [mariadbd] into the server\'s option file, and SET GLOBAL max_binlog_total_size = 1073741824',
    },
  ]);
});
