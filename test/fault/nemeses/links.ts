import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../../bench/cutover/workload.ts';
import type { KeyspaceName } from '../../support/moves/move-state.ts';
import { clientSilenceMs } from '../clients.ts';
import type { Link } from '../proxy/link.ts';
import { pass, type Treatment } from '../proxy/treatment.ts';
import { durationMs, type Excuses, type Nemesis, noExcuse, oneOf, seconds } from './nemesis.ts';

const isStore = (name: string): name is KeyspaceName => name === 'old' || name === 'new';
const gatewayIndex = (name: string): number => Number(/^gateway-(\d+)$/.exec(name)?.[1] ?? 0) - 1;

/** A broken way excuses what goes that way, and no more. */
export function excusesOf({ from, to }: Pick<Link, 'from' | 'to'>): Excuses {
  if (from === 'client') return { gateways: [gatewayIndex(to)], stores: [] };
  if (isStore(to) && gatewayIndex(from) >= 0) return { gateways: [], stores: [{ store: to, gateways: [gatewayIndex(from)] }] };
  return noExcuse;
}

function linkNemesis(name: string, treatmentOf: (dice: Dice) => Treatment, detail: (treatment: Treatment) => string, excuses: (link: Link) => Excuses = excusesOf): Nemesis {
  return {
    name,
    async strike({ network }, dice) {
      const link = oneOf(network.links, dice);
      const treatment = treatmentOf(dice);
      const forMs = durationMs(dice);
      link.treat(treatment);
      await sleep(forMs);
      link.treat(pass);
      return { what: `${link.from} to ${link.to}${detail(treatment)} for ${seconds(forMs)}`, excuses: excuses(link) };
    },
  };
}

export const cut = linkNemesis(
  'cut',
  () => ({ kind: 'cut' }),
  () => '',
);

/** Slow is not broken: no call may fail. */
export const delay = linkNemesis(
  'delay',
  (dice) => ({ kind: 'delay', leastMs: 1 + dice.roll(10), mostMs: 20 + dice.roll(60) }),
  (treatment) => (treatment.kind === 'delay' ? `, ${treatment.leastMs} to ${treatment.mostMs} ms each way,` : ''),
);

export const reset = linkNemesis(
  'reset',
  (dice) => ({ kind: 'reset', oneIn: 2 + dice.roll(20) }),
  (treatment) => (treatment.kind === 'reset' ? `, one piece in ${treatment.oneIn},` : ''),
);

export const halfOpen = linkNemesis(
  'half-open',
  (dice) => ({ kind: 'half-open', gone: dice.roll(2) === 0 ? 'near' : 'far' }),
  (treatment) => (treatment.kind === 'half-open' ? `, the ${treatment.gone} end gone,` : ''),
  (link) => ({ ...excusesOf(link), lingersMs: link.from === 'client' ? clientSilenceMs : 0 }),
);

export const oneWay = linkNemesis(
  'one-way',
  (dice) => ({ kind: 'hold', way: dice.roll(2) === 0 ? 'forth' : 'back' }),
  (treatment) => (treatment.kind === 'hold' ? `, nothing ${treatment.way},` : ''),
);

/** A gateway that Consul cannot reach while cutovers go on: what it believes is no longer true. */
export const cutOff: Nemesis = {
  name: 'cut-off',
  async strike({ network }, dice) {
    const forMs = 6_000 + dice.roll(4_000);
    const link = network.link('gateway-1', 'consul');
    link.treat({ kind: 'hold', way: 'both' });
    await sleep(forMs);
    link.treat(pass);
    return { what: `gateway-1 without Consul for ${seconds(forMs)}`, excuses: noExcuse };
  },
};
