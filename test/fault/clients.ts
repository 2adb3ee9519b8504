import type { LoadPlan } from '../bench/cutover/load-protocol.ts';

/** A gateway may be paused for 10 s and has to work off what came meanwhile: neither is a reason to give up a connection or a try. */
export const clientSilenceMs = 13_000;
const tryLimitMs = 15_000;
/** Of a call with all its tries: longer than any strike with its healing. */
const deadlineMs = 50_000;

export const pgbenchScale = 1;

/** Clients that keep on: every write has a request id and is sent again, to any gateway, until somebody knows its outcome. */
export function clientPlan(gateways: readonly string[], seed: number, readOnlyGateways: readonly number[]): LoadPlan {
  return {
    gateways,
    readOnlyGateways,
    writesPerSecond: 45,
    readsPerSecond: 60,
    scale: pgbenchScale,
    hotAccounts: 100,
    deadlineMs,
    tryLimitMs,
    silenceLimitMs: clientSilenceMs,
    requestIds: true,
    repeats: true,
    persistent: true,
    rampMs: 2_000,
    seed,
  };
}
