import type { ServerSession } from '../kernel/connection.ts';
import type { StoreServer } from './server.ts';
import { type Isolation, type Role, StoreRefusal, Transaction } from './transaction.ts';

/** A transaction that its client leaves alone for so long is rolled back. */
const idleTransactionMs = 2_000;

/** A statement whose client is gone is ended when the server looks for it next. */
const orphanCheckMs = 2_000;

/** One connection at the server, with at most one transaction. */
export class StoreSession implements ServerSession {
  readonly server: StoreServer;
  #transaction: Transaction | null = null;
  #isBusy = false;
  #isClosed = false;
  #stopIdle: () => void = () => {};

  constructor(server: StoreServer) {
    this.server = server;
  }

  /** Runs statements in a transaction of their own and commits. */
  run<T>(role: Role, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#statement(async () => {
      const transaction = this.#begin(role, 'read committed');
      const result = await act(transaction);
      await transaction.pause();
      transaction.commit();
      this.#transaction = null;
      return result;
    });
  }

  /** Begins a transaction and runs statements in it; it stays open. */
  begin<T>(role: Role, isolation: Isolation, act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#statement(() => act(this.#begin(role, isolation)));
  }

  /** Runs statements in the open transaction. */
  continue<T>(act: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#statement(() => act(this.#open()));
  }

  /** Runs last statements in the open transaction and commits it. */
  commit(act: (transaction: Transaction) => Promise<void>): Promise<void> {
    return this.#statement(async () => {
      const transaction = this.#open();
      await act(transaction);
      await transaction.pause();
      transaction.commit();
      this.#transaction = null;
    });
  }

  async rollBack(): Promise<void> {
    this.#end();
  }

  cancel(): void {
    if (this.#isBusy) this.#transaction?.cancel();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#isBusy) this.server.after(orphanCheckMs, () => this.cancel());
    else this.#end();
  }

  #begin(role: Role, isolation: Isolation): Transaction {
    this.#end();
    this.#transaction = new Transaction(this.server, role, isolation);
    return this.#transaction;
  }

  #open(): Transaction {
    if (this.#transaction === null) throw new StoreRefusal('serialization_failure', 'the transaction was ended: it had been left alone for too long');
    return this.#transaction;
  }

  /** A failure ends the transaction; a client that is gone by the end of a statement ends what it left open. */
  async #statement<T>(act: () => Promise<T>): Promise<T> {
    this.#stopIdle();
    this.#isBusy = true;
    try {
      return await act();
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#isBusy = false;
      this.#transaction?.endStatement();
      if (this.#transaction !== null) {
        if (this.#isClosed) this.#end();
        else this.#stopIdle = this.server.after(idleTransactionMs, () => this.#end());
      }
    }
  }

  #end(): void {
    this.#stopIdle();
    this.#transaction?.rollBack();
    this.#transaction = null;
  }
}
