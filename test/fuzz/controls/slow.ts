import { planted } from './planted.ts';

/** Three seconds of work for one input. */
export const target = planted('slow', () => {
  const before = process.threadCpuUsage();
  for (;;) {
    const { user, system } = process.threadCpuUsage(before);
    if (user + system > 3_000_000) return;
  }
});
