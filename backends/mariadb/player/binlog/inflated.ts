import { inflateRawSync, inflateSync } from 'node:zlib';
import { protocolFault } from './log-fault.ts';

/** No packet of a server is longer, and so no value. */
const LARGEST_VALUE_BYTES = 1024 * 1024 * 1024;

/** Bytes as they were before zlib made them smaller, `most` at most; `raw`: without zlib's own head and checksum. */
export function inflated(bytes: Buffer, { raw = false, most = LARGEST_VALUE_BYTES }: { readonly raw?: boolean; readonly most?: number } = {}): Buffer {
  try {
    return (raw ? inflateRawSync : inflateSync)(bytes, { maxOutputLength: Math.max(most, 1) });
  } catch (error) {
    throw protocolFault(`compressed bytes that cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
