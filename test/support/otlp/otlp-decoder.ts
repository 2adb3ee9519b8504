import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';

/*
 * As much of OTLP's ExportTraceServiceRequest as the tests look at, read off the wire by the field numbers of opentelemetry/proto/trace/v1/trace.proto. Fields that are not named here are skipped.
 */

export type AttributeValue = string | number | boolean | null;

export interface ReceivedSpan {
  /** The resource's service.name. */
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly name: string;
  /** Milliseconds since the epoch, with a fraction. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
}

type FieldReader = (reader: BinaryReader) => void;

/** Calls the reader of every field that has one, and skips the others. */
function readFields(bytes: Uint8Array, fields: Readonly<Record<number, FieldReader>>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType]: [number, WireType] = reader.tag();
    const read = fields[number];
    if (read === undefined) reader.skip(wireType, number);
    else read(reader);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const nanosToMs = (nanos: bigint | string): number => Number(BigInt(nanos) / 1_000n) / 1_000;

function readAnyValue(bytes: Uint8Array): AttributeValue {
  let value: AttributeValue = null;
  readFields(bytes, {
    1: (reader) => {
      value = reader.string();
    },
    2: (reader) => {
      value = reader.bool();
    },
    3: (reader) => {
      value = Number(reader.int64());
    },
    4: (reader) => {
      value = reader.double();
    },
  });
  return value;
}

function readAttribute(bytes: Uint8Array, into: Record<string, AttributeValue>): void {
  let key = '';
  let value: AttributeValue = null;
  readFields(bytes, {
    1: (reader) => {
      key = reader.string();
    },
    2: (reader) => {
      value = readAnyValue(reader.bytes());
    },
  });
  into[key] = value;
}

function readLink(bytes: Uint8Array): { traceId: string; spanId: string } {
  const link = { traceId: '', spanId: '' };
  readFields(bytes, {
    1: (reader) => {
      link.traceId = hex(reader.bytes());
    },
    2: (reader) => {
      link.spanId = hex(reader.bytes());
    },
  });
  return link;
}

function readSpan(bytes: Uint8Array, service: string): ReceivedSpan {
  const attributes: Record<string, AttributeValue> = {};
  const links: { traceId: string; spanId: string }[] = [];
  const span = { service, traceId: '', spanId: '', parentSpanId: '', name: '', startMs: 0, endMs: 0, attributes, links };
  readFields(bytes, {
    1: (reader) => {
      span.traceId = hex(reader.bytes());
    },
    2: (reader) => {
      span.spanId = hex(reader.bytes());
    },
    4: (reader) => {
      span.parentSpanId = hex(reader.bytes());
    },
    5: (reader) => {
      span.name = reader.string();
    },
    7: (reader) => {
      span.startMs = nanosToMs(reader.fixed64());
    },
    8: (reader) => {
      span.endMs = nanosToMs(reader.fixed64());
    },
    9: (reader) => readAttribute(reader.bytes(), attributes),
    13: (reader) => {
      links.push(readLink(reader.bytes()));
    },
  });
  return span;
}

function readResourceSpans(bytes: Uint8Array): ReceivedSpan[] {
  const resource: Record<string, AttributeValue> = {};
  const scopes: Uint8Array[] = [];
  readFields(bytes, {
    1: (reader) => readFields(reader.bytes(), { 1: (attribute) => readAttribute(attribute.bytes(), resource) }),
    2: (reader) => {
      scopes.push(reader.bytes());
    },
  });
  const service = String(resource['service.name'] ?? '');
  const spans: ReceivedSpan[] = [];
  for (const scope of scopes)
    readFields(scope, {
      2: (reader) => {
        spans.push(readSpan(reader.bytes(), service));
      },
    });
  return spans;
}

/** The spans of one ExportTraceServiceRequest in protobuf's binary form. */
export function decodeTraceRequest(bytes: Uint8Array): readonly ReceivedSpan[] {
  const spans: ReceivedSpan[] = [];
  readFields(bytes, {
    1: (reader) => {
      spans.push(...readResourceSpans(reader.bytes()));
    },
  });
  return spans;
}
