import { planted } from './planted.ts';

/** A failure that nobody waits for, which ends a process. */
export const target = planted('crash', () => {
  void Promise.reject(new Error('nobody hears this'));
  return new Promise((resolve) => setTimeout(resolve, 5));
});
