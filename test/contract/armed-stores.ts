import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import type { TableSchema } from '../../core/table-schema.ts';
import { arm, FORWARD, type MoveStores, never } from './move-stores.ts';

/** What a suite runs over: `fresh` gives two new stores a test. */
export interface StoresSource extends AsyncDisposable {
  fresh(): Promise<MoveStores>;
}

/** Of one test: a move's tables, claimed, with the log and the stream of the way forward. */
export interface ArmedStores {
  readonly stores: MoveStores;
  readonly schemas: ReadonlyMap<string, TableSchema>;
  /** Another two that nothing has been done with; for the caller to dispose of. */
  readonly fresh: () => Promise<MoveStores>;
}

/** Gives every test of the suite that it is called in armed stores of its own. `prepare` takes them; what it puts on the stack is disposed of before they are. */
export function useArmedStores(start: () => Promise<StoresSource>, prepare: (armed: ArmedStores, stack: AsyncDisposableStack) => void | Promise<void>): void {
  let servers: StoresSource;
  let stack: AsyncDisposableStack;
  beforeAll(async () => {
    servers = await start();
  });
  afterAll(async () => {
    await servers?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    const stores = stack.use(await servers.fresh());
    stack.defer(() => stores.source.owner.dropLog(FORWARD, null, never()));
    await prepare({ stores, schemas: await arm(stores), fresh: () => servers.fresh() }, stack);
  });
  afterEach(async () => {
    await stack.disposeAsync();
  });
}
