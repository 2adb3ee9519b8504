import { maxStoreMessageBytes } from '../../core/message-limit.ts';
import { tooLarge } from './body-text.ts';

/** The lines of a body, without their ends. A last one that does not end is left out: the body broke off in it. RESULT_TOO_LARGE: one that is longer than any message is. */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let pieces: string[] = [];
  let length = 0;
  for await (const chunk of body) {
    const [first = '', ...more] = decoder.decode(chunk, { stream: true }).split('\n');
    pieces.push(first);
    length += first.length;
    if (length > maxStoreMessageBytes) throw tooLarge();
    for (const piece of more) {
      yield pieces.join('');
      pieces = [piece];
      length = piece.length;
    }
  }
}
