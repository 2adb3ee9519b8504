import type { FuzzTarget } from '../target.ts';

const kept: number[][] = [];

/** 100 KiB that are kept of every input. */
export const target: FuzzTarget = {
  name: 'control-leak',
  words: [],
  generate: (random) => random.bytes(8),
  open: async () => ({
    run: () => {
      kept.push(new Array<number>(12_800).fill(kept.length));
      return 'kept';
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};
