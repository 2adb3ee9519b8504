import { type DescMessage, type DescService, type MessageShape, toJson } from '@bufbuild/protobuf';
import { createRpcClient, type RpcClient } from '../client/rpc-client.ts';

/** What the command may touch of its process. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Whether stdout is a terminal: then progress is redrawn in place, else printed line by line. */
  readonly terminal: boolean;
  readFile(path: string): Promise<string>;
  /** Runs one of our own processes with these arguments until it ends; signals are passed on. Returns its exit code. */
  runProcess(name: 'gateway' | 'control' | 'topology', args: readonly string[]): Promise<number>;
  /** Aborts at Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** One invocation: where control is, how to print. */
export class Context {
  readonly io: Io;
  readonly #control: () => string;
  readonly #json: () => boolean;

  constructor(io: Io, options: { control: () => string; json: () => boolean }) {
    this.io = io;
    this.#control = options.control;
    this.#json = options.json;
  }

  get json(): boolean {
    return this.#json();
  }

  /** A client of one of control's services; `deadlineMs` is for each call. */
  client<S extends DescService>(service: S, deadlineMs = 15_000): RpcClient<S> {
    return createRpcClient(service, this.#control(), { deadlineMs });
  }

  /** Prints a message: as JSON with `-o json`, else as `text` makes it. */
  print<S extends DescMessage>(schema: S, message: MessageShape<S>, text: (message: MessageShape<S>) => string): void {
    this.io.out(this.json ? `${JSON.stringify(toJson(schema, message), null, 2)}\n` : `${text(message).trimEnd()}\n`);
  }

  /** A line for people about what to do next; left out with `-o json`. */
  hint(text: string): void {
    if (!this.json) this.io.out(`\n${text}\n`);
  }
}
