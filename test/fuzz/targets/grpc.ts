import { create, fromBinary, toBinary, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, type ClientReadableStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ownMember } from '../../../core/own-member.ts';
import { CALLER_KEY } from '../../../core/request-record.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { RowSchema, ValueSchema } from '../../../gen/switchyard/data/v1/value_pb.ts';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import { type Hint, randomBytesOf } from '../inputs/random-message.ts';
import { fitting, shopShapes } from '../inputs/shop-cells.ts';
import { columnNames, tableNames } from '../inputs/shop-file.ts';
import { startShopGateway } from '../inputs/shop-gateway.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Finding, type FuzzTarget, must } from '../target.ts';
import { isReason } from '../verdict.ts';

const methods = DataService.methods;
const limitMs = 20_000;
/** What the transport itself answers, before anything of ours sees the call. */
const transports: readonly RegExp[] = [/^Received message larger than max/];

/** Fills fields so that they fit one table, but for some. */
function hintOf(random: Random): Hint {
  const { table, key, others } = random.pick(shopShapes);
  const stray = random.pick([0, 3, 15]);
  const text = (): string => random.pick(nastyTexts).toWellFormed();
  const kindFor = (name: string) => ownMember(fitting, name)?.(random) ?? { case: 'nullValue' as const, value: 0 as const };
  const column = (): string => (random.chance(stray) ? random.pick([text(), random.pick(columnNames)]) : random.pick([...key, ...others]));
  const row = (names: readonly string[]): MessageInitShape<typeof RowSchema> => ({
    cells: Object.fromEntries(names.flatMap((name) => (random.chance(stray) ? [] : [[name, { kind: kindFor(name) }]]))),
  });
  const some = (): string[] => Array.from({ length: random.size(6) }, column);
  const comparison = (): object => {
    const name = column();
    return { column: name, operator: random.chance(stray) ? 0 : 1 + random.below(6), value: { kind: kindFor(name) } };
  };
  return (field) => {
    switch (field.name) {
      case 'table':
        return random.chance(stray) ? random.pick([text(), ...tableNames]) : table;
      case 'column':
        return column();
      case 'columns':
      case 'returning':
        return some();
      case 'update_mask':
        return random.chance(50) ? [] : some();
      case 'key':
        return field.fieldKind === 'message' ? row(key) : undefined;
      case 'keys':
        return Array.from({ length: random.size(6) }, () => row(key));
      case 'row':
        return row(random.chance(50) ? [...key, ...others] : some());
      case 'add':
        return random.chance(70) ? row([]) : row(['amount']);
      case 'compare':
        return comparison();
      case 'page_token':
        return random.chance(80) ? '' : undefined;
      case 'consistency':
        return random.chance(stray) ? undefined : 1;
      case 'request_id':
        return random.chance(stray) ? text() : random.pick(['', '', 'id-1', 'id-2']);
      case 'page_size':
        return random.chance(stray) ? undefined : random.pick([0, 1, 10, 1000]);
      default:
        return undefined;
    }
  };
}

/** A filter nested as deep as a message may be, and deeper. */
function deepFilter(random: Random): Buffer {
  let filter: MessageInitShape<typeof ValueSchema> | object = { kind: { case: 'isNull', value: { column: 'name' } } };
  for (let depth = random.pick([19, 20, 21, 90, 100, 500]); depth > 0; depth -= 1) {
    filter = random.chance(50) ? { kind: { case: 'not', value: filter } } : { kind: { case: 'and', value: { filters: [filter] } } };
  }
  const query = DataService.method.query.input;
  return Buffer.from(toBinary(query, create(query, { table: 'item', filter })));
}

/** The data API over gRPC. The first byte chooses the method, the second how the caller names itself; the rest is the request's bytes as they are sent. */
export const target: FuzzTarget = {
  name: 'grpc',
  words: [...tableNames, ...columnNames, '\x0a', '\x12', '\x1a', '\x08\x01', '\x2a', '\xff\xff\xff\xff\x0f'],
  changedPercent: 25,
  generate: (random) => {
    if (random.chance(3)) return Buffer.concat([Buffer.from([methods.indexOf(DataService.method.query), 0]), deepFilter(random)]);
    const at = random.below(methods.length);
    const method = methods[at] as (typeof methods)[number];
    return Buffer.concat([Buffer.from([at, random.below(4)]), randomBytesOf(method.input as DescMessage, random, hintOf(random))]);
  },
  open: async () => {
    const gateway = await startShopGateway();
    const client = new Client(gateway.grpcAddress, credentials.createInsecure(), { 'grpc.enable_retries': 0 });
    return {
      run: async (input) => {
        const method = methods[(input[0] ?? 0) % methods.length] as (typeof methods)[number];
        const metadata = new Metadata();
        if ((input[1] ?? 0) % 4 === 1) metadata.set(CALLER_KEY, 'me');
        if ((input[1] ?? 0) % 4 === 2) metadata.set(CALLER_KEY, 'two words');
        const { error, answer } = await firstAnswer(client, method, input.subarray(2), metadata);
        if (error !== null) return `${method.name}: ${reasonOnTheWire(error)}`;
        must(answer !== undefined, 'neither an answer nor an error');
        fromBinary(method.output as DescMessage, answer);
        return `${method.name}: value`;
      },
      check: () => gateway.check(),
      [Symbol.asyncDispose]: async () => {
        client.close();
        await gateway[Symbol.asyncDispose]();
      },
    };
  },
};

interface Outcome {
  readonly error: ServiceError | null;
  readonly answer: Buffer | undefined;
}

/** Sends one request, and takes the first answer of a stream for all of it. */
function firstAnswer(client: Client, { name, methodKind }: (typeof methods)[number], request: Buffer, metadata: Metadata): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const asIs = (bytes: Buffer): Buffer => bytes;
  const [path, options] = [`/${DataService.typeName}/${name}`, { deadline: Date.now() + limitMs }];
  if (methodKind === 'unary') {
    client.makeUnaryRequest(path, asIs, asIs, request, metadata, options, (error, answer) => resolve({ error, answer }));
    return promise;
  }
  const listen = (call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>): void => {
    call.once('data', (answer: Buffer) => {
      resolve({ error: null, answer });
      call.cancel();
    });
    call.on('error', (error: ServiceError) => resolve({ error, answer: undefined }));
    call.on('end', () => resolve({ error: null, answer: Buffer.alloc(0) }));
  };
  if (methodKind === 'server_streaming') listen(client.makeServerStreamRequest(path, asIs, asIs, request, metadata, options));
  else {
    const call = client.makeBidiStreamRequest(path, asIs, asIs, metadata, options);
    listen(call);
    call.write(request);
    call.end();
  }
  return promise;
}

/** The reason that a failed call carries in its trailers. A finding: none, one that is not in the catalogue, or a fault of ours. */
export function reasonOnTheWire(error: ServiceError): string {
  const { code, details } = error;
  if (transports.some((pattern) => pattern.test(details))) return 'transport';
  if (code === status.DEADLINE_EXCEEDED) throw new Finding('slow', `no answer within ${limitMs} ms`);
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  if (!(bytes instanceof Uint8Array)) throw new Finding('answer', `an error without a reason: ${status[code]} ${details}`);
  const info = fromBinary(StatusSchema, bytes).details.find(({ typeUrl }) => typeUrl.endsWith(`/${ErrorInfoSchema.typeName}`));
  must(info !== undefined, `an error without ErrorInfo: ${status[code]} ${details}`);
  const { reason } = fromBinary(ErrorInfoSchema, info.value);
  must(isReason(reason), `the reason ${reason} is not in the catalogue`);
  must(reason !== 'INTERNAL' && reason !== 'STORE_FAILED', `bad input is answered with ${reason}: ${details}`);
  must(details.trim() !== '', `${reason} says nothing`);
  return reason;
}
