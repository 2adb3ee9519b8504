import { ShopFile, sqlColumn } from '../inputs/shop-file.ts';
import type { FuzzTarget } from '../target.ts';

/** A store that puts the names it is given into its SQL as they come. */
export const target: FuzzTarget = {
  name: 'control-injection',
  words: ['name', sqlColumn],
  generate: (random) => Buffer.from(random.pick(['name', 'amount', 'price'])),
  open: async () => {
    const file = await ShopFile.create();
    const database = file.connect();
    file.seal();
    return {
      run: (input) => {
        try {
          database.exec(`UPDATE item SET "${input.toString()}" = 1 WHERE id = 1`);
          return 'done';
        } catch {
          return 'refused';
        }
      },
      check: async () => file.checkUntouched(),
      [Symbol.asyncDispose]: async () => {
        database.close();
        await file[Symbol.asyncDispose]();
      },
    };
  },
};
