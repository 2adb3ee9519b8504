import { type ChildProcess, spawn } from 'node:child_process';

/** What curl got. */
export interface CurlAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
  /** The body as JSON, read as most callers read it; undefined where there is none. */
  readonly json: unknown;
}

export interface RunningCurl {
  readonly process: ChildProcess;
  /** Rejects with what curl says where it got no answer. */
  readonly answer: Promise<CurlAnswer>;
}

const curlLimitSeconds = '30';

/** Starts curl with these arguments; `input` is its standard input, for `--data-binary @-`. */
export function startCurl(args: readonly string[], input: string | Uint8Array = ''): RunningCurl {
  const child = spawn('curl', ['-sS', '-i', '--max-time', curlLimitSeconds, '--noproxy', '*', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const { promise, resolve, reject } = Promise.withResolvers<CurlAnswer>();
  const out: Buffer[] = [];
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  child.stdin.on('error', () => {}); // curl may end before it has read all
  child.stdin.end(input);
  child.on('error', reject);
  child.on('close', (code) => (code === 0 ? resolve(parsed(Buffer.concat(out).toString('utf8'))) : reject(new Error(`curl ended with ${code}: ${complaint}`))));
  return { process: child, answer: promise };
}

export const curl = (args: readonly string[], input?: string | Uint8Array): Promise<CurlAnswer> => startCurl(args, input).answer;

function parsed(output: string): CurlAnswer {
  let rest = output;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    rest = rest.slice(end + 4);
    const status = Number(first.split(' ')[1]);
    if (status === 100) continue;
    const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const));
    return { status, headers, text: rest, json: /^application\/(problem\+)?json/.test(headers.get('content-type') ?? '') && rest !== '' ? JSON.parse(rest) : undefined };
  }
}
