import { arch, cpus, release, totalmem, type } from 'node:os';
import { version } from 'node:process';

/** The machine that the figures belong to. */
export function describeMachine(): Readonly<Record<string, string | number>> {
  const all = cpus();
  return { cpu: all[0]?.model.trim() ?? 'unknown', cores: all.length, memoryGiB: Math.round(totalmem() / 2 ** 30), system: `${type()} ${release()} ${arch()}`, node: version };
}
