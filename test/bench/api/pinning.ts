import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Lets a process, its threads and all processes below it run on these processors only; what they start later inherits it. */
export async function pin(processId: number, processors: string): Promise<void> {
  for (const each of [processId, ...(await descendantsOf(processId))]) await run('taskset', ['-a', '-c', '-p', processors, String(each)]).catch(ignoreGone);
}

async function descendantsOf(processId: number): Promise<readonly number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const status = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    parents.set(Number(name), Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const found = [...parents].filter(([, parent]) => parent === processId).map(([child]) => child);
  return found.concat(...(await Promise.all(found.map(descendantsOf))));
}

/** Memory of a process in MiB, as the kernel counts it. */
export async function memoryMiB(processId: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${processId}/status`, 'utf8'))?.[1] ?? 0) / 1_024;
}

/** It has ended meanwhile. */
function ignoreGone(error: Error): void {
  if (!/No such process|ESRCH/.test(error.message)) throw error;
}
