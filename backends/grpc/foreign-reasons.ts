import { status } from '@grpc/grpc-js';
import type { ErrorReason } from '../../core/error-catalogue.ts';

const reasons: ReadonlyMap<status, ErrorReason> = new Map([
  [status.INVALID_ARGUMENT, 'ARGUMENT_INVALID'],
  [status.OUT_OF_RANGE, 'ARGUMENT_INVALID'],
  [status.NOT_FOUND, 'ROW_NOT_FOUND'],
  [status.ALREADY_EXISTS, 'UNIQUE_VIOLATION'],
  [status.FAILED_PRECONDITION, 'PRECONDITION_FAILED'],
  [status.PERMISSION_DENIED, 'STORE_DENIED'],
  [status.UNAUTHENTICATED, 'STORE_LOGIN_REFUSED'],
  [status.UNIMPLEMENTED, 'NOT_SUPPORTED'],
  [status.ABORTED, 'SERIALIZATION_FAILURE'],
]);

/** What a foreign service means that gives a code and no reason of the catalogue. Null: nothing certain; what the call did is as unknown as if the connection had been lost. */
export const foreignReasons = (code: status): ErrorReason | null => reasons.get(code) ?? null;
