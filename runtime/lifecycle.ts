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

/** Resolves when the process that forked this one is gone. Waiting for it keeps nothing alive. */
export function abandonedBy(child: NodeJS.Process): Promise<'SIGTERM'> {
  return new Promise((resolve) => {
    child.once('disconnect', () => resolve('SIGTERM'));
    child.channel?.unref();
  });
}
