import type { ErrorReason } from './error-catalogue.ts';
import type { WriteResult } from './operation.ts';

/** Header (HTTP) and metadata key (gRPC) with which a caller says who it is. */
export const CALLER_KEY = 'switchyard-caller';

/** With these a store answers a write after it has waited for whatever else is at the same rows and found no record: they tell that an earlier try was not done either. The gateway's own word for a value is no such answer. */
export const VERDICTS: readonly ErrorReason[] = [
  'ROW_NOT_FOUND',
  'PRECONDITION_FAILED',
  'UNIQUE_VIOLATION',
  'FOREIGN_KEY_VIOLATION',
  'NOT_NULL_VIOLATION',
  'CHECK_VIOLATION',
  'REQUEST_ID_REUSED',
];

/** The methods of the data API whose answers a write may be answered with. */
export type AnswerForm = 'insert' | 'insertMany' | 'upsert' | 'update' | 'delete' | 'mutate';

/** How large an answer may be, for whoever can only be told so: a store behind a service. */
export interface AnswerBound {
  readonly form: AnswerForm;
  readonly maxBytes: number;
}

/** A write that is to be done once, however often and through whichever gateway it is sent. */
export interface OnceRequest {
  /** Whose id it is: two callers may use the same. Empty: callers that do not tell who they are share this one. */
  readonly caller: string;
  readonly id: string;
  /** One of the tables written, always the same for the same content: the record goes wherever that table goes. */
  readonly table: string;
  /** Equal exactly for equal content. */
  readonly digest: string;
  /** What is recorded, and what every repetition is answered with. Called inside the transaction that writes, once for each time that the writes are executed. */
  readonly encode: (results: readonly WriteResult[]) => Uint8Array;
  /** The same as data, for a store that no function can be given to: the answer of this form, refused as RESULT_TOO_LARGE where it is larger. */
  readonly answer: AnswerBound;
}

export interface OnceAnswer {
  /** As `encode` made it, now or when the write was done. */
  readonly result: Uint8Array;
  /** The write had been done before; nothing was written now. */
  readonly repeated: boolean;
}

/** What a store keeps of such a write, committed together with it. Never changed; removed when its time is over. Its key is caller, id and table. */
export interface RequestRecord {
  readonly caller: string;
  readonly id: string;
  readonly table: string;
  readonly digest: string;
  readonly result: Uint8Array;
  /** When it was written, on the clock of the store where that was, in µs since 1970-01-01T00:00:00Z. */
  readonly recordedAtMicros: bigint;
}

/** A chunk of records ends with the one whose result makes the results of all this large: an answer may be far larger than the rows that it tells of. */
export const REQUESTS_CHUNK_BYTES = 8 * 1024 * 1024;

/** Under this name a stream's copy of the records is written down; no table can have it. */
export const REQUESTS = 'switchyard.request';
