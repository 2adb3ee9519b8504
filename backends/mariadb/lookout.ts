import type { Clock } from '../../core/clock.ts';
import { type Activity, type Lookout, SilenceWatch } from '../silence-watch.ts';
import { connectClient, dropConnection, type LoginConfig } from './connection.ts';

const lookText = 'SELECT ID, COMMAND FROM information_schema.PROCESSLIST';

/** Watches the connections of this configuration. A login sees its own connections without any right. */
export const silenceWatch = (config: LoginConfig, clock: Clock): SilenceWatch => new SilenceWatch((signal) => connectLookout(config, signal), clock);

async function connectLookout(config: LoginConfig, signal: AbortSignal): Promise<Lookout> {
  const { connection } = await connectClient(config, signal, () => {});
  return {
    activities: () =>
      new Promise((resolve, reject) => {
        connection.query(lookText, (error, rows) => {
          if (error !== null) return reject(error);
          resolve(new Map((rows as unknown as readonly (readonly [string, string])[]).map(([id, command]) => [Number(id), activityOf(command)])));
        });
      }),
    drop: () => dropConnection(connection),
  };
}

const activityOf = (command: string): Activity => (command === 'Sleep' ? 'resting' : 'working');
