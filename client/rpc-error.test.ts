import { describe, expect, test } from '@jest/globals';
import { toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { create } from '@bufbuild/protobuf';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ErrorInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../gen/google/rpc/status_pb.ts';
import { fromServiceError } from './rpc-error.ts';

function failure(code: status, details: string, reason?: string): ServiceError {
  const metadata = new Metadata();
  if (reason !== undefined) {
    const packed = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason }));
    metadata.set('grpc-status-details-bin', Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code, message: details, details: [packed] }))));
  }
  return Object.assign(new Error(details), { code, details, metadata });
}
const reasonOf = (error: ServiceError): string => fromServiceError(error, 'gateway:1').reason;

describe('a failed call', () => {
  test.each<[status, string]>([
    [status.INTERNAL, 'Received RST_STREAM with code 2 (Internal server error)'],
    [status.INTERNAL, 'write EPIPE'],
    [status.CANCELLED, 'Call cancelled'],
    [status.UNKNOWN, ''],
    [status.RESOURCE_EXHAUSTED, 'Received RST_STREAM with code 11 (Bandwidth exhausted)'],
    [status.UNAVAILABLE, 'No connection established'],
  ])('of which only the transport tells (%i, "%s") has reached nobody who would answer', (code, details) => {
    expect(reasonOf(failure(code, details))).toBe('PEER_UNREACHABLE');
  });

  test.each<[status, string, string | undefined, string]>([
    [status.INTERNAL, 'a bug', 'INTERNAL', 'INTERNAL'],
    [status.CANCELLED, 'left', 'CANCELLED', 'CANCELLED'],
    [status.INTERNAL, 'of a later release', 'NOT_YET_KNOWN', 'INTERNAL'],
    [status.UNIMPLEMENTED, 'no such method', undefined, 'INTERNAL'],
    [status.INTERNAL, 'Response message parsing error: bad wire type', undefined, 'INTERNAL'],
    [status.INTERNAL, 'Request message serialization failure: not an int32', undefined, 'ARGUMENT_INVALID'],
    [status.RESOURCE_EXHAUSTED, 'Received message larger than max (2 vs 1)', undefined, 'MESSAGE_TOO_LARGE'],
  ])('is told as what the other end, or this one, says of it: %i, "%s", %s', (code, details, info, reason) => {
    expect(reasonOf(failure(code, details, info))).toBe(reason);
  });
});
