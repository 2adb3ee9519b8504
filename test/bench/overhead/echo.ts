import { fork } from 'node:child_process';

const startLimitMs = 10_000;

/** Starts a bare server, given by the path of its file, in a process of its own, and resolves when it has told its port. */
export async function startEcho(file: string): Promise<{ readonly address: string; readonly processId: number } & Disposable> {
  const child = fork(file, [], { execArgv: ['--disable-warning=ExperimentalWarning'] });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('message', (message: { port: number }) => resolve(message.port));
  child.once('exit', (code) => reject(new Error(`the echo server ended with ${code}`)));
  const timer = setTimeout(() => reject(new Error('the echo server did not start')), startLimitMs);
  const port = await promise.finally(() => clearTimeout(timer));
  return { processId: child.pid ?? 0, address: `127.0.0.1:${port}`, [Symbol.dispose]: () => child.kill('SIGKILL') };
}
