// A bare grpc-js server that answers Get and Insert at once with messages like the gateway's: the floor under every gateway on this stack. Prints its port.
import { Server, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { rpcMethodDefinition } from '../../../core/rpc-definition.ts';
import { listenGrpc } from '../../../runtime/grpc-server.ts';
import {
  DataService,
  type GetRequestSchema,
  type GetResponseSchema,
  type InsertRequestSchema,
  type InsertResponseSchema,
} from '../../../gen/switchyard/data/v1/data_service_pb.ts';

const int = (value: bigint) => ({ kind: { case: 'int64Value' as const, value } });
const text = (value: string) => ({ kind: { case: 'textValue' as const, value } });
const filler = ' '.repeat(84);

function get(request: MessageShape<typeof GetRequestSchema>): MessageInitShape<typeof GetResponseSchema> {
  const aid = request.key?.cells.aid;
  return { row: { cells: { ...(aid === undefined ? {} : { aid }), bid: int(1n), abalance: int(0n), filler: text(filler) } } };
}

let hid = 0n;
function insert(request: MessageShape<typeof InsertRequestSchema>): MessageInitShape<typeof InsertResponseSchema> {
  if (request.row === undefined) return {};
  hid += 1n;
  return { row: { cells: { hid: int(hid) } } };
}

const definition = { get: rpcMethodDefinition(DataService.method.get), insert: rpcMethodDefinition(DataService.method.insert) };
const handlers: UntypedServiceImplementation = {
  get: (call: { request: MessageShape<typeof GetRequestSchema> }, answer: (error: null, message: unknown) => void) => answer(null, get(call.request)),
  insert: (call: { request: MessageShape<typeof InsertRequestSchema> }, answer: (error: null, message: unknown) => void) => answer(null, insert(call.request)),
};

const server = new Server();
server.addService(definition as unknown as ServiceDefinition, handlers);
const port = await listenGrpc(server, { host: '127.0.0.1', port: 0 });
process.send?.({ port });
process.on('disconnect', () => process.exit(0));
