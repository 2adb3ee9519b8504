import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { Metadata, status } from '@grpc/grpc-js';
import type { CanonicalCode } from '../core/error-catalogue.ts';
import { STATUS_DETAILS_KEY } from '../core/rpc-definition.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { ErrorInfoSchema, RetryInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { type Status, StatusSchema } from '../gen/google/rpc/status_pb.ts';

const statusOfCode = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  ABORTED: status.ABORTED,
  OUT_OF_RANGE: status.OUT_OF_RANGE,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  UNAVAILABLE: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  INTERNAL: status.INTERNAL,
  UNKNOWN: status.UNKNOWN,
} as const satisfies Record<CanonicalCode, status>;

const defaultRetryMs = 100;
/** Domain of every ErrorInfo of ours. */
export const errorDomain = 'switchyard.dev';

function packed<S extends DescMessage>(schema: S, message: MessageShape<S>): { typeUrl: string; value: Uint8Array } {
  return { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, message) };
}

/** Any failure as one of ours. What is not a SwitchyardError is a fault of ours: INTERNAL. */
export function ourError(error: unknown): SwitchyardError {
  return error instanceof SwitchyardError ? error : new SwitchyardError('INTERNAL', `internal fault: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

/** When repeating the call makes sense, in ms from now; undefined where it does not. */
export const retryMsOf = (error: SwitchyardError): number | undefined => error.retryAfterMs ?? (error.retryable ? defaultRetryMs : undefined);

/** Of a header block Node takes 64 KiB and grpc-core 8 KiB unless told otherwise: a message that quotes what a caller sent must not keep the failure from being told. */
const mostMessageBytes = 16 * 1024;
const mostDetailsBytes = 1024;
const mostFactBytes = 512;

/** The beginning of the text of which `bytesOf` makes at most so many bytes, with a "…" where it is not all of it. */
function beginning(text: string, most: number, bytesOf: (text: string) => number): string {
  let shown = text;
  while (bytesOf(shown) > most) shown = `${shown.slice(0, Math.min(most, Math.floor(shown.length * 0.8)))}…`.toWellFormed();
  return shown;
}

const utf8Bytes = (text: string): number => Buffer.byteLength(text);
/** As grpc-js writes it into a header. */
const headerBytes = (text: string): number => encodeURI(text).length;

/** A failure as a message: canonical code, message, ErrorInfo, and RetryInfo where retrying helps. Long texts are cut. */
export function statusMessage(error: unknown): Status {
  const ours = ourError(error);
  const metadata = Object.fromEntries(Object.entries(ours.metadata).map(([name, fact]) => [name, beginning(fact.toWellFormed(), mostFactBytes, utf8Bytes)]));
  const details = [packed(ErrorInfoSchema, create(ErrorInfoSchema, { reason: ours.reason, domain: errorDomain, metadata }))];
  const retryMs = retryMsOf(ours);
  if (retryMs !== undefined) {
    const retryDelay = { seconds: BigInt(Math.floor(retryMs / 1000)), nanos: Math.round((retryMs % 1000) * 1e6) };
    details.push(packed(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  return create(StatusSchema, { code: statusOfCode[ours.code], message: beginning(ours.message, mostMessageBytes, utf8Bytes), details });
}

/** A failure as grpc-js sends it, with its message in the trailers; `details` may be only the beginning of it. */
export function toGrpcError(error: unknown): { code: status; details: string; metadata: Metadata } {
  const message = statusMessage(error);
  const metadata = new Metadata();
  metadata.set(STATUS_DETAILS_KEY, Buffer.from(toBinary(StatusSchema, message)));
  return { code: message.code, details: beginning(message.message, mostDetailsBytes, headerBytes), metadata };
}
