import type { Clock } from '../../core/clock.ts';
import { type Activity, type Lookout, SilenceWatch } from '../silence-watch.ts';
import { connectClient, dropClient, type LoginConfig } from './connection.ts';

const workingStates: ReadonlySet<string> = new Set(['active', 'fastpath function call', 'disabled']);
const lookText = 'SELECT pid, state FROM pg_catalog.pg_stat_activity WHERE pid = ANY ($1::int[])';

/** Watches the connections of this configuration. It needs a connection to the server itself: behind a pooler that gives out process ids of its own, every long statement would look dead. */
export const silenceWatch = (config: LoginConfig, clock: Clock): SilenceWatch => new SilenceWatch((signal) => connectLookout(config, signal), clock);

async function connectLookout(config: LoginConfig, signal: AbortSignal): Promise<Lookout> {
  const client = await connectClient(config, signal, () => {});
  return {
    activities: async (processIds) => {
      const { rows } = await client.query<{ pid: string; state: string | null }>(lookText, [`{${processIds.join(',')}}`]);
      return new Map(rows.map(({ pid, state }) => [Number(pid), activityOf(state)]));
    },
    drop: () => dropClient(client),
  };
}

/** A state that we may not see tells nothing. */
function activityOf(state: string | null): Activity {
  if (state === null) return 'untold';
  return workingStates.has(state) ? 'working' : 'resting';
}
