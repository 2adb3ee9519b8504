import { expect, test } from '@jest/globals';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Change_Kind, DataService } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { rowEncoder } from '../codec/encode.ts';
import { tableHandle } from '../codec/table-handle.ts';
import { bindingsOf } from '../../runtime/http/bindings.ts';
import { HttpRoutes } from './routes.ts';
import { JsonApi, type JsonApiOptions } from './json-api.ts';

const column = { name: 'id', kind: 'int32' as const, nullable: false, hasDefault: false, generated: false, nativeType: 'integer' };
const handle = tableHandle('old', { name: 'item', columns: [column], primaryKey: ['id'], uniqueKeys: [], fingerprint: '' });
const row = (id: number) => rowEncoder(handle)({ columns: ['id'], cells: [id] });

/** What the API answers a watch with, whose service tells this. */
async function watched(watch: () => AsyncIterable<unknown>): Promise<string> {
  const options = { service: { watch }, executor: { shape: async () => handle }, observer: {} };
  const api = new JsonApi(options as unknown as JsonApiOptions);
  const call = new HttpRoutes(bindingsOf(DataService)).find('GET', '/v1/tables/item:watch');
  const { body } = await api.answer({ call, query: '', headers: {}, signal: new AbortController().signal, deadline: 0 }, () => Promise.reject(new Error('no body')));
  let text = '';
  for await (const part of body as AsyncIterable<string>) text += part;
  return text;
}

test('events of a watch: the last of an answer has an id, and a failure is no "error", which browsers call the loss of a connection', async () => {
  const text = await watched(async function* () {
    yield { token: 't0' };
    const changes = [
      { kind: Change_Kind.INSERT, after: row(1), changedAtMicros: 1n },
      { kind: Change_Kind.UPDATE, before: row(1), after: row(2), changedAtMicros: 2n },
    ];
    yield { changes, token: 't1' };
    throw new SwitchyardError('GATEWAY_NOT_READY', 'it stops');
  });
  expect(text.split('\n\n').map((event) => event.split('\n').map((line) => line.replace(/^(data: \{"type".*"reason":"\w+").*/, '$1')))).toEqual([
    ['id: t0', 'event: position', 'data: {}'],
    ['event: change', 'data: {"kind":"INSERT","before":null,"after":{"id":1},"changedAt":"1970-01-01T00:00:00.000001Z"}'],
    ['id: t1', 'event: change', 'data: {"kind":"UPDATE","before":{"id":1},"after":{"id":2},"changedAt":"1970-01-01T00:00:00.000002Z"}'],
    ['event: failure', expect.stringContaining('"reason":"GATEWAY_NOT_READY"')],
    [''],
  ]);
});
