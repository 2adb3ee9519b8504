import { connect } from 'node:net';
import { Finding } from '../target.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

const limitMs = 20_000;

/** Sends bytes down a connection of its own, in two pieces, and ends it from this side. Resolves with all that came back when the other side has ended it too. A finding: it does not within 20 s. */
export async function exchange(address: string, bytes: Buffer, firstPiece: number): Promise<Buffer> {
  const { hostname, port } = new URL(`http://${address}`);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const pieces: Buffer[] = [];
  const socket = connect(Number(port), hostname);
  const timer = setTimeout(() => {
    reject(new Finding('hang', `the connection is still open after ${limitMs} ms; it was told: ${Buffer.concat(pieces).toString('latin1').slice(0, 200)}`));
    socket.destroy();
  }, limitMs);
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  socket.on('error', () => {}); // a reset while we still send is an answer too
  socket.on('close', () => resolve(Buffer.concat(pieces)));
  socket.write(bytes.subarray(0, firstPiece));
  setImmediate(() => socket.end(bytes.subarray(firstPiece)));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Takes what a server sent apart into answers. A finding: it is no sequence of whole HTTP/1.1 answers. */
export function answersIn(sent: Buffer): readonly RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let at = 0; at < sent.length; ) {
    const headEnd = sent.indexOf('\r\n\r\n', at);
    const head = sent
      .subarray(at, headEnd < 0 ? at : headEnd)
      .toString('latin1')
      .split('\r\n');
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(head[0] ?? '')?.[1];
    if (headEnd < 0 || status === undefined) throw new Finding('answer', `no HTTP answer at byte ${at}: ${JSON.stringify(sent.subarray(at, at + 100).toString('latin1'))}`);
    const headers = new Map(head.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const));
    const length = Number(headers.get('content-length') ?? 0);
    const start = headEnd + 4;
    // The answer to a HEAD tells a length and has no body.
    const next = sent.subarray(start, start + 9).toString('latin1');
    const isBodiless = start === sent.length || next === 'HTTP/1.1 ';
    if (!isBodiless && start + length > sent.length) throw new Finding('answer', `an answer of ${length} bytes ends after ${sent.length - start}`);
    const end = isBodiless ? start : start + length;
    answers.push({ status: Number(status), headers, body: sent.subarray(start, end) });
    at = end;
  }
  return answers;
}

/** A request as bytes. */
export function rawRequest(method: string, path: string, headers: readonly string[], body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body);
  const framing = bytes.length === 0 || headers.some((line) => /^(content-length|transfer-encoding):/i.test(line)) ? [] : [`Content-Length: ${bytes.length}`];
  return Buffer.concat([Buffer.from(`${[`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, ...framing].join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}
