/** The part of `process` that a lifecycle needs. */
export interface Signals {
  once(event: 'SIGTERM' | 'SIGINT', act: () => void): unknown;
}

/** Resolves with the signal's name at the first SIGTERM or SIGINT. */
export function terminationOf(signals: Signals): Promise<'SIGTERM' | 'SIGINT'> {
  return new Promise((resolve) => {
    signals.once('SIGTERM', () => resolve('SIGTERM'));
    signals.once('SIGINT', () => resolve('SIGINT'));
  });
}
