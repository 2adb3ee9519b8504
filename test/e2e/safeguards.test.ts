import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { benchSafeguards } from '../bench/cutover/cutover-config.ts';

/*
 * Whether the cutover bench would notice: with one safeguard taken out of the stores in a test build, and under the disturbance that it is there for, its clients must lose or miss something. That the same disturbance does no harm to the
 * product as it is, `npm run bench -- cutover --disturb SAFEGUARD` shows; faults.test.ts disturbs it in many more ways. The load is small, so that it can be borne by a machine that runs other tests beside.
 */

const main = resolve(import.meta.dirname, '../bench/main.ts');
const size = ['--short', '--copy-first', '--gateways', '2', '--writes', '120', '--reads', '120', '--seconds-between', '1'];
const caseLimitMs = 240_000;
/** connection-cuts.test.ts has the other one: it needs no cutover. */
const neededByCutovers = benchSafeguards.filter((safeguard) => safeguard !== 'request-id');

interface Outcome {
  readonly code: number | null;
  readonly totals: Readonly<Record<string, number>>;
  readonly told: string;
}

async function bench(...options: readonly string[]): Promise<Outcome> {
  const { promise, resolve: resolveExit } = Promise.withResolvers<number | null>();
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'cutover', ...size, ...options, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, told] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  child.once('close', resolveExit);
  const code = await promise;
  const last = out.trimEnd().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`the bench ended with ${code} and no result: ${told.slice(-4_000)}`);
  const { totals } = JSON.parse(last) as { readonly totals: Readonly<Record<string, number>> };
  return { code, totals, told };
}

const harm = ({ missing = 0, doubled = 0, different = 0 }: Readonly<Record<string, number>>): number => missing + doubled + different;

test.each(neededByCutovers)(
  'without its %s the product does harm, and the bench names it',
  async (safeguard) => {
    const { code, totals, told } = await bench('--break', safeguard);
    expect(harm(totals)).toBeGreaterThan(0);
    expect(code).toBe(1);
    expect(told).toMatch(/^VIOLATION (missing|doubled|stale|different): /m);
  },
  caseLimitMs,
);
