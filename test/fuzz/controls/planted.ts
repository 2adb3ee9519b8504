import type { FuzzTarget } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

/** Where a planted fault lies: in inputs that hold this, which generation alone does not make. */
export const trap = 'BOOM';

/** A target whose product has a fault that inputs with the trap meet. */
export function planted(name: string, meet: (input: Buffer) => unknown): FuzzTarget {
  return {
    name: `control-${name}`,
    words: [trap, 'harmless'],
    generate: (random) => random.bytes(20),
    open: async () => ({
      run: (input) => (input.includes(trap) ? outcomeOf(() => meet(input)) : outcomeOf(() => null)),
      [Symbol.asyncDispose]: async () => {},
    }),
  };
}
