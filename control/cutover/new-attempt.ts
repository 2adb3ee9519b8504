import { type Attempt, attempt } from '../../core/ids.ts';
import type { ControlDeps } from '../move.ts';
import type { FenceLinks } from './fence-link.ts';

const STORE_LIMIT_MS = 5_000;

/** The number of a new attempt: above every one that either store knows of, which would refuse it otherwise. The counter alone may lag behind them, when all of Consul was set back to an old snapshot. */
export async function newAttempt(links: FenceLinks, { topology }: ControlDeps, signal: AbortSignal): Promise<Attempt> {
  const known = await Promise.all([links.source, links.target].map((link) => link.use(STORE_LIMIT_MS, signal, (session, limited) => session.highestAttempt(limited))));
  return attempt(await topology.nextAttempt(Math.max(...known), signal));
}
