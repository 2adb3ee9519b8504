import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ValueSchema } from '../../../gen/switchyard/data/v1/value_pb.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { sqlColumn, sqlTable } from './shop-file.ts';

export type ValueInit = MessageInitShape<typeof ValueSchema>;

/** Values that fit the shop's columns, most of them, so that calls get as far as the store. */
export const fitting: Readonly<Record<string, (random: Random) => ValueInit['kind']>> = {
  id: (random) => ({ case: 'int64Value', value: BigInt(random.below(6)) }),
  item_id: (random) => ({ case: 'int64Value', value: BigInt(random.below(6)) }),
  name: (random) => ({ case: 'textValue', value: random.pick(nastyTexts).toWellFormed() }),
  line: (random) => ({ case: 'textValue', value: random.pick(['a', 'b', random.pick(nastyTexts).toWellFormed()]) }),
  [sqlColumn]: (random) => ({ case: 'textValue', value: random.pick(nastyTexts).toWellFormed() }),
  amount: (random) => ({ case: 'int64Value', value: random.pick([0n, 1n, -1n, 2n ** 31n, 2n ** 63n - 1n]) }),
  price: (random) => ({ case: 'decimalValue', value: random.pick(['1.5', '-0.0001', '99999999.9999', 'NaN', '1'.repeat(200)]) }),
  seen: (random) => ({ case: 'timestamptzMicros', value: random.pick([0n, -1n, 2n ** 63n - 1n, -(2n ** 62n)]) }),
  wall: (random) => ({ case: 'timestampMicros', value: random.pick([0n, -1n, 253_402_300_800_000_000n]) }),
  day: (random) => ({ case: 'dateValue', value: random.pick(['2024-02-29', 'infinity', '+10000-01-01']) }),
  at_time: (random) => ({ case: 'timeMicros', value: random.pick([0n, 86_400_000_000n]) }),
  doc: (random) => ({ case: 'jsonValue', value: random.pick(['{}', '[1.0]', `${'['.repeat(50)}${']'.repeat(50)}`, '"\\u0000"']) }),
  raw: (random) => ({ case: 'bytesValue', value: new Uint8Array(random.bytes(random.size(100))) }),
  ref: () => ({ case: 'uuidValue', value: '00000000-0000-4000-8000-000000000000' }),
  mood: () => ({ case: 'enumValue', value: 'calm' }),
  ratio: (random) => ({ case: 'doubleValue', value: random.pick([0.5, Number.NaN, -0, Number.POSITIVE_INFINITY]) }),
  flag: () => ({ case: 'boolValue', value: true }),
  huge: () => ({ case: 'uint64Value', value: 2n ** 64n - 1n }),
};

/** The tables that most calls are about, with their keys and other columns. */
export const shopShapes: readonly { readonly table: string; readonly key: readonly string[]; readonly others: readonly string[] }[] = [
  { table: 'item', key: ['id'], others: ['name', 'amount', 'price', 'seen', 'wall', 'day', 'at_time', 'doc', 'raw', 'ref', 'mood', 'ratio', 'flag', 'huge'] },
  { table: 'line', key: ['item_id', 'line'], others: ['amount'] },
  { table: sqlTable, key: ['id'], others: [sqlColumn] },
];
