import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyspaceName } from '../../support/moves/move-state.ts';
import { clientSilenceMs } from '../clients.ts';
import { PacketFilter } from '../packet-filter.ts';
import { excusesOf } from './links.ts';
import { durationMs, type Nemesis, oneOf, seconds } from './nemesis.ts';
import { storeDown } from './stores.ts';

const anybody = '*';

/** The kernel drops every packet between two parties: no end is told, and both try again by themselves ever more seldom. */
export const partition: Nemesis = {
  name: 'partition',
  needs: {
    unavailable: async () => {
      const filter = await PacketFilter.open();
      return typeof filter === 'string' ? filter : null;
    },
  },
  async strike({ network }, dice) {
    const [way, port] = oneOf([...network.ports], dice);
    const [from = '', to = ''] = way.split(' ');
    const filter = await PacketFilter.open();
    if (typeof filter === 'string') throw new Error(filter);
    const forMs = durationMs(dice);
    await filter.drop([port]);
    await sleep(forMs);
    await filter.pass();
    const excuses = from === anybody ? storeDown(to as KeyspaceName) : { ...excusesOf({ from, to }), lingersMs: from === 'client' ? clientSilenceMs : 0 };
    return { what: `no packet between ${from === anybody ? 'anybody' : from} and ${to} for ${seconds(forMs)}`, excuses };
  },
};
