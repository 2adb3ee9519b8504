import type { FenceState } from '../../../core/fence.ts';
import { Random } from '../kernel/random.ts';

/** When a fault happens: at a time, or shortly after something that matters happens for the n-th time. */
export type Trigger =
  | { readonly kind: 'time'; readonly atMs: number }
  /** A table's fence row has become this in some store. */
  | { readonly kind: 'fence'; readonly state: FenceState; readonly nth: number; readonly delayMs: number }
  /** A coordinator has finished this step. */
  | { readonly kind: 'step'; readonly step: string; readonly nth: number; readonly delayMs: number };

export type FaultAction =
  | { readonly kind: 'crash'; readonly place: string; readonly silent: boolean }
  | { readonly kind: 'stop'; readonly place: string }
  | { readonly kind: 'cut'; readonly a: string; readonly b: string; readonly ways: 'both' | 'there' | 'back' }
  | { readonly kind: 'slow'; readonly factor: number }
  | { readonly kind: 'clock'; readonly place: string; readonly byMs: number }
  | { readonly kind: 'no-leader' | 'new-leader' | 'end-session' | 'restore' }
  | { readonly kind: 'rules'; readonly how: 'flip' | 'drop' | 'hold' | 'delete' | 'garbage' | 'leap' }
  | { readonly kind: 'long-transaction'; readonly store: string; readonly isolation: 'read committed' | 'repeatable read' };

export interface Fault {
  readonly when: Trigger;
  readonly action: FaultAction;
  /** How long it lasts, where it lasts. */
  readonly forMs: number;
}

/** Everything about a run that is decided before it begins. */
export interface Plan {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** Whether the faults begin before the workflow is made, or when it runs already. */
  readonly fromScratch: boolean;
  /** How often traffic is switched, to and fro. */
  readonly switches: number;
  /** Whether the workflow is completed or cancelled at last. */
  readonly ends: boolean;
  /** Pause between two operations of one client while nothing is going on, in ms. */
  readonly restMs: number;
}

export const gateways = ['gateway-1', 'gateway-2'] as const;
export const controls = ['control-1', 'control-2'] as const;
export const stores = ['old', 'new'] as const;
export const clients = ['client-1', 'client-2', 'client-3'] as const;

const steps = ['precheck', 'reverse-stream', 'warm-up', 'rules-hold', 'fence', 'catch-up', 'commit', 'ready', 'close', 'open', 'flip', 'reverse-start', 'abort'];
const states: readonly FenceState[] = ['FROZEN', 'SEALED', 'READABLE', 'CLOSED', 'OPEN'];
const mostMs = 12_000;

export function makePlan(seed: number): Plan {
  const random = new Random(`plan ${seed}`);
  const switches = 1 + random.int(3);
  const count = random.chance(0.06) ? 0 : 1 + random.int(6);
  const ends = random.chance(0.17);
  const faults = Array.from({ length: count }, () => makeFault(random, switches));
  return { seed, switches, fromScratch: random.chance(0.08), ends, restMs: random.between(60, 250), faults };
}

function makeFault(random: Random, switches: number): Fault {
  const action = makeAction(random);
  const when = action.kind === 'long-transaction' && random.chance(0.6) ? justBefore(random, switches) : makeTrigger(random, switches);
  return { when, action, forMs: lengthOf(action, random) };
}

/** Short before a fence: what begins then meets it in the middle. */
const justBefore = (random: Random, switches: number): Trigger => ({
  kind: 'step',
  step: random.pick(['sequences', 'warm-up', 'rules-hold']),
  nth: 1 + random.int(switches),
  delayMs: random.exponential(2),
});

function makeTrigger(random: Random, switches: number): Trigger {
  if (random.chance(0.3)) return { kind: 'time', atMs: random.between(0, mostMs) };
  const nth = 1 + random.int(switches + 1);
  const delayMs = random.chance(0.5) ? 0 : random.exponential(3);
  return random.chance(0.5) ? { kind: 'fence', state: random.pick(states), nth, delayMs } : { kind: 'step', step: random.pick(steps), nth, delayMs };
}

function makeAction(random: Random): FaultAction {
  const process = (): string => random.pick([...gateways, ...controls, ...controls]);
  const store = (): string => random.pick(stores);
  const roll = random.next();
  if (roll < 0.2) return { kind: 'crash', place: process(), silent: false };
  if (roll < 0.36) return { kind: 'stop', place: process() };
  if (roll < 0.44) return { kind: 'crash', place: store(), silent: random.chance(0.3) };
  if (roll < 0.48) return { kind: 'stop', place: store() };
  if (roll < 0.64) return { kind: 'cut', a: process(), b: random.pick([...stores, ...stores, 'consul']), ways: random.pick(['both', 'there', 'back']) };
  if (roll < 0.68) return { kind: 'cut', a: random.pick(clients), b: random.pick(gateways), ways: random.pick(['both', 'there', 'back']) };
  if (roll < 0.73) return { kind: 'slow', factor: random.between(3, 25) };
  if (roll < 0.76) return { kind: 'clock', place: process(), byMs: random.between(-20_000, 20_000) };
  if (roll < 0.86) return { kind: random.pick(['no-leader', 'no-leader', 'new-leader', 'new-leader', 'end-session', 'end-session', 'restore'] as const) };
  if (roll < 0.92) return { kind: 'rules', how: random.pick(['flip', 'drop', 'hold', 'delete', 'garbage', 'leap']) };
  return { kind: 'long-transaction', store: store(), isolation: random.pick(['read committed', 'repeatable read']) };
}

function lengthOf(action: FaultAction, random: Random): number {
  switch (action.kind) {
    case 'crash':
      return random.between(20, 4_000);
    case 'stop':
      return random.chance(0.35) ? random.between(3_000, 15_000) : random.between(20, 2_500);
    case 'cut':
      return random.chance(0.2) ? random.between(2_000, 12_000) : random.between(20, 2_000);
    case 'no-leader':
      return random.between(100, 6_000);
    case 'slow':
      return random.between(200, 3_000);
    case 'long-transaction':
      return random.chance(0.5) ? random.between(5, 120) : random.between(100, 1_900);
    default:
      return 0;
  }
}

/** A fault in one line. */
export function faultText({ when, action, forMs }: Fault): string {
  const at =
    when.kind === 'time'
      ? `at ${(when.atMs / 1_000).toFixed(1)} s`
      : `${when.delayMs.toFixed(1)} ms after ${when.kind === 'fence' ? when.state : `step ${when.step}`} no. ${when.nth}`;
  const { kind, ...what } = action;
  return `${kind} ${Object.values(what)
    .map((value) => (typeof value === 'number' ? value.toFixed(1) : String(value)))
    .join(' ')}${forMs === 0 ? '' : ` for ${forMs.toFixed(0)} ms`}, ${at}`;
}
