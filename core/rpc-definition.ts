import { create, type DescMessage, type DescMethod, fromBinary, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { WireWriter, WRITE, writesItself } from './wire-writer.ts';

/** Trailer of a failed call that holds a `google.rpc.Status` with its details: gRPC's own name for it. */
export const STATUS_DETAILS_KEY = 'grpc-status-details-bin';

/** A method as grpc-js wants it: its path and the codecs of both messages. */
export interface RpcMethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (message: MessageShape<DescMessage>) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => MessageShape<DescMessage>;
  readonly responseSerialize: (message: MessageInitShape<DescMessage>) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => MessageShape<DescMessage>;
}

function encoder(schema: DescMessage): (message: MessageInitShape<DescMessage>) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, create(schema, message));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

const lengthDelimited = 2;
const probableLengthBytes = 2;

/** As `encoder`; messages in fields of the message itself may write themselves. */
function responseEncoder(schema: DescMessage): (message: MessageInitShape<DescMessage>) => Buffer {
  const encode = encoder(schema);
  const fields = schema.fields.filter((field) => field.message !== undefined && field.fieldKind !== 'map' && field.oneof === undefined);
  if (fields.length === 0) return encode;
  const writer = new WireWriter();
  return (message) => {
    const rest: Record<string, unknown> = { ...message };
    const own = fields.flatMap(({ localName, number }) => {
      const value = rest[localName];
      const values = Array.isArray(value) ? value : [value];
      if (!values.every(writesItself) || values.length === 0) return [];
      delete rest[localName];
      return [{ tag: (number << 3) | lengthDelimited, values }];
    });
    if (own.length === 0) return encode(message);
    writer.reset();
    // The order of fields is of no meaning.
    if (Object.keys(rest).length > 0) writer.raw(encode(rest));
    for (const { tag, values } of own) {
      for (const value of values) {
        writer.varint(tag);
        const start = writer.begin(probableLengthBytes);
        value[WRITE](writer);
        writer.end(start, probableLengthBytes);
      }
    }
    return writer.finish();
  };
}

const decoder =
  (schema: DescMessage) =>
  (bytes: Buffer): MessageShape<DescMessage> =>
    fromBinary(schema, bytes);

/** Turns a protobuf-es method into grpc-js' definition. Messages may be given as plain initialisers. */
export function rpcMethodDefinition(method: DescMethod): RpcMethodDefinition {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: encoder(method.input),
    requestDeserialize: decoder(method.input),
    responseSerialize: responseEncoder(method.output),
    responseDeserialize: decoder(method.output),
  };
}
