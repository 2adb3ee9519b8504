// A thread of a fault run: asks for a little processor time again and again and tells how long that took.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';

const wantedMicros = 30_000;
const everyMs = 700;

const usedMicros = (): number => {
  const { user, system } = process.threadCpuUsage();
  return user + system;
};

for (;;) {
  const [startedMs, startedMicros] = [performance.now(), usedMicros()];
  while (usedMicros() - startedMicros < wantedMicros) Math.sqrt(startedMs);
  parentPort?.postMessage(((performance.now() - startedMs) * 1_000) / (usedMicros() - startedMicros));
  await sleep(everyMs);
}
