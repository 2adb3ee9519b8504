// Runs as a process of its own: the clients of a bench, so that nothing that the bench itself does delays them.
import { randomBytes } from 'node:crypto';
import { LoadGenerator } from './load-generator.ts';
import type { LoadReport, LoadRequest } from './load-protocol.ts';

const progressEveryMs = 500;
// The transport takes a stack trace of every call, which is a tenth of what a call costs here.
Error.stackTraceLimit = 0;
let generator: LoadGenerator | null = null;

function report(message: LoadReport): Promise<void> {
  return new Promise((resolve, reject) => process.send?.(message, undefined, undefined, (error) => (error === null ? resolve() : reject(error))));
}

async function take(request: LoadRequest): Promise<void> {
  if (request.kind === 'connect') {
    generator = new LoadGenerator(request.plan, randomBytes(11).toString('hex'));
    await generator.connect();
    await report({ kind: 'connected' });
    return;
  }
  if (generator === null) throw new Error(`"${request.kind}" before "connect"`);
  const clients = generator;
  if (request.kind === 'run') {
    clients.run();
    setInterval(() => void report({ kind: 'progress', progress: clients.takeProgress() }), progressEveryMs).unref();
    return;
  }
  await report({ kind: 'record', record: await clients.finish() });
  process.disconnect();
}

process.on('message', (request: LoadRequest) => {
  take(request).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(0));
