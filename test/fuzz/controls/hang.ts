import { planted } from './planted.ts';

/** A loop without an end. */
export const target = planted('hang', () => {
  for (let turns = 0; ; turns += 1) if (turns < 0) return turns;
});
