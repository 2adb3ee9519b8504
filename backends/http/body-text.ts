import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

/** RESULT_TOO_LARGE: what a service sends is not held in memory beyond what any message of ours may be. */
export const tooLarge = (): SwitchyardError => new SwitchyardError('RESULT_TOO_LARGE', `the service answered with more than ${maxStoreMessageBytes} bytes; ask for less at once`);

/** The whole of a body as text. RESULT_TOO_LARGE; what is behind that is not read. */
export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxStoreMessageBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
