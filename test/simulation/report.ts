import { isDeepStrictEqual } from 'node:util';
import { counted } from '../ledger/wording.ts';
import type { SeedResult } from './run-seed.ts';
import { noteText } from './world/journal.ts';
import { type Plan, faultText, makePlan } from './world/plan.ts';

const mostViolations = 5;
const mostNotes = 120;

/** A failed run for people: what is wrong, what was done to the world, what happened, and how to see it again. */
export function report(plan: Plan, result: SeedResult, broken: readonly string[]): string {
  const shown = result.notes.filter(({ who }) => who !== 'operator');
  const left = shown.length - mostNotes;
  return [
    `seed ${plan.seed}: ${counted(result.violations.length, 'violation')}`,
    ...result.violations.slice(0, mostViolations).map((said) => `\n${said}`),
    `\nfaults${plan.fromScratch ? ', from before the workflow was made' : ''}:`,
    ...plan.faults.map((fault) => `  ${faultText(fault)}`),
    `\n${counted(plan.switches, 'switch', 'switches')} asked for; what happened${left > 0 ? ` (the last ${mostNotes} of ${shown.length})` : ''}:`,
    ...shown.slice(-mostNotes).map(noteText),
    `\nto see it again: ${repeatCommand(plan, broken)}`,
  ].join('\n');
}

function repeatCommand(plan: Plan, broken: readonly string[]): string {
  const original = makePlan(plan.seed);
  const kept = plan.faults.map((fault) => original.faults.findIndex((each) => isDeepStrictEqual(each, fault)));
  return [
    `npm run simulate -- --first-seed ${plan.seed} --seeds 1 --talk`,
    ...(kept.length === original.faults.length ? [] : [`--faults ${kept.join(',') || 'none'}`]),
    ...(plan.switches === original.switches ? [] : [`--switches ${plan.switches}`]),
    ...(plan.ends === original.ends ? [] : ['--no-end']),
    ...(plan.restMs === original.restMs ? [] : [`--rest ${plan.restMs}`]),
    ...broken.map((fault) => `--break ${fault}`),
  ].join(' ');
}

/** What a run without these safeguards came to. Without one it has to find something: `failed`, the first seed that did, or null. */
export function breakVerdict(broken: readonly string[], failed: number | null, seeds: number): string {
  const without = `without ${broken.join(' and ')}`;
  return failed === null ? `NOT NOTICED in ${counted(seeds, 'seed')} ${without}` : `found ${without}, at seed ${failed}, as it has to be`;
}
