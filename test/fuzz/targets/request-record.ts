import { randomUUID } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { createRpcClient } from '../../../client/rpc-client.ts';
import { DataService, InsertResponseSchema } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import { startShopGateway } from '../inputs/shop-gateway.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const answer = toBinary(
  InsertResponseSchema,
  create(InsertResponseSchema, { row: { cells: { id: { kind: { case: 'int64Value', value: 5n } }, name: { kind: { case: 'textValue', value: 'x' } } } } }),
);

/** Answers that a store keeps of requests with an id, as somebody else may have changed them: an input takes the place of one, and the request is repeated. */
export const target: FuzzTarget = {
  name: 'request-record',
  words: ['\x0a', '\x12', 'id', 'name', '\xff\xff\xff\xff\x0f'],
  generate: (random) => (random.chance(90) ? Buffer.from(answer) : random.bytes(random.size(100))),
  open: async () => {
    const gateway = await startShopGateway();
    const client = createRpcClient(DataService, gateway.grpcAddress);
    const database = gateway.file.connect();
    const change = database.prepare('UPDATE switchyard_request SET result = ? WHERE request_id = ?');
    const remove = database.prepare('DELETE FROM switchyard_request');
    const count = database.prepare('SELECT count(*) AS count FROM item');
    return {
      run: async (input) => {
        const request = { table: 'item', row: { cells: { name: { kind: { case: 'textValue' as const, value: 'x' } } } }, requestId: randomUUID() };
        await client.insert(request);
        const before = count.get();
        change.run(new Uint8Array(input), request.requestId);
        const outcome = await outcomeOf(() => client.insert(request), [], ['STORE_FAILED']);
        must(JSON.stringify(count.get()) === JSON.stringify(before), 'a repeated request was done again');
        remove.run();
        return outcome;
      },
      check: () => gateway.check(),
      [Symbol.asyncDispose]: async () => {
        database.close();
        client[Symbol.dispose]();
        await gateway[Symbol.asyncDispose]();
      },
    };
  },
};
