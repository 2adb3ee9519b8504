import { type DescMessage, type DescService, type MessageShape, toJson } from '@bufbuild/protobuf';
import { createRpcClient, type RpcClient } from '../client/rpc-client.ts';

/** What the command may touch of its process. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Who runs the command, for histories: "name@host". */
  readonly person: string;
  /** Whether stdout is a terminal: then progress is redrawn in place, else printed line by line. */
  readonly terminal: boolean;
  readFile(path: string): Promise<string>;
  /** Lets a person change a text in the editor of $VISUAL or $EDITOR. ARGUMENT_INVALID when there is none or it fails. */
  edit(text: string, name: string): Promise<EditedText>;
  /** The person's own settings of the command: the text of the file, null when there is none, and its path. */
  readonly settings: { readonly path: string; read(): Promise<string | null>; write(text: string): Promise<void> };
  /** Runs one of our own processes with these arguments until it ends; signals are passed on. Returns its exit code. */
  runProcess(name: 'gateway' | 'control' | 'topology' | 'demo', args: readonly string[]): Promise<number>;
  /** Resolves after this time, or at Ctrl-C. */
  pause(ms: number): Promise<void>;
  /** Aborts at Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** What an editor left: `keep` leaves the file at `path` where it is, else it is gone with the process. */
export interface EditedText {
  readonly text: string;
  readonly path: string;
  keep(): Promise<void>;
}

const watchEveryMs = 1_000;

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

  /** Prints a message: as JSON with `-o json`, else as `text` makes it. One of many goes on one line, as programs read them. */
  print<S extends DescMessage>(schema: S, message: MessageShape<S>, text: (message: MessageShape<S>) => string, oneOfMany = false): void {
    this.io.out(this.json ? `${JSON.stringify(toJson(schema, message), null, oneOfMany ? 0 : 2)}\n` : `${text(message).trimEnd()}\n`);
  }

  /** Prints what has no message of the API: `value` with `-o json`, else `text`. */
  printJson(value: unknown, text: string): void {
    this.io.out(this.json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
  }

  /** Prints an answer, and with `watch` asks every second and prints it again whenever it reads differently, until Ctrl-C. */
  async show<S extends DescMessage>(schema: S, watch: boolean, ask: () => Promise<MessageShape<S>>, text: (message: MessageShape<S>) => string): Promise<void> {
    let shown: string | null = null;
    do {
      const message = await ask();
      const now = JSON.stringify(toJson(schema, message));
      if (now !== shown) {
        if (shown !== null && !this.json) this.io.out('\n');
        this.print(schema, message, text, watch);
      }
      shown = now;
      if (watch) await this.io.pause(watchEveryMs);
    } while (watch && !this.io.interrupted.aborted);
  }

  /** A line for people; left out with `-o json`. */
  say(text: string): void {
    if (!this.json) this.io.out(`${text}\n`);
  }

  /** A line for people about what to do next; left out with `-o json`. */
  hint(text: string): void {
    if (!this.json) this.io.out(`\n${text}\n`);
  }
}
