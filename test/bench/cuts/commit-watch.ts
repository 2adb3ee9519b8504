import { type Message, MessageReader, textsOf } from './messages.ts';

/** What the server made of a batch: committed what it had to, left a transaction open, or refused it. */
export type BatchEnd = 'committed' | 'open' | 'failed';
type StatementKind = 'begin' | 'commit' | 'write' | 'other';

const PROTOCOL_3 = 196_608;

function kindOf(text: string): StatementKind {
  if (/^\s*COMMIT\b/i.test(text)) return 'commit';
  if (/^\s*(?:BEGIN|START)\b/i.test(text)) return 'begin';
  if (/^\s*(?:INSERT|UPDATE|DELETE)\b/i.test(text) || /^\s*WITH\b.*\b(?:INSERT|UPDATE|DELETE)\b/is.test(text)) return 'write';
  return 'other';
}

/**
 * Knows of one connection to PostgreSQL who logs in, and whether what the client has just sent commits: a COMMIT, or a write outside of a transaction, which commits by itself. What is sent at once, up to a Sync or as one plain query, is a batch, and
 * the next one is sent after its answer.
 */
export class CommitWatch {
  readonly #fromClient = new MessageReader(true);
  readonly #fromServer = new MessageReader(false);
  /** By the name under which the server has parsed it. */
  readonly #kinds = new Map<string, StatementKind>();
  #bound: StatementKind = 'other';
  #batch = new Set<StatementKind>();
  #inTransaction = false;
  #refused = false;
  #user: string | null = null;
  #waiting = false;

  /** Who logged in; null as long as nobody has. */
  get user(): string | null {
    return this.#user;
  }

  /** The client waits for an answer. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** Takes the next bytes of the client. True: they are the end of a batch that commits. */
  sent(bytes: Buffer): boolean {
    let commits = false;
    for (const message of this.#fromClient.read(bytes)) if (this.#take(message)) commits = true;
    return commits;
  }

  /** Takes the next bytes of the server. Not null: they are the end of the answer to a batch. */
  answered(bytes: Buffer): BatchEnd | null {
    let end: BatchEnd | null = null;
    for (const { type, body } of this.#fromServer.read(bytes)) {
      if (type === 'E') this.#refused = true;
      if (type !== 'Z') continue;
      this.#inTransaction = body.toString('latin1') !== 'I';
      end = this.#refused ? 'failed' : this.#inTransaction ? 'open' : 'committed';
      this.#refused = false;
      this.#waiting = false;
    }
    return end;
  }

  /** Whether the message ends a batch that commits. */
  #take({ type, body }: Message): boolean {
    const [first = '', second = ''] = 'PBQ'.includes(type) ? textsOf(body) : [];
    switch (type) {
      case '':
        this.#logIn(body);
        return false;
      case 'P':
        this.#kinds.set(first, kindOf(second));
        return false;
      case 'B':
        this.#bound = this.#kinds.get(second) ?? 'other';
        return false;
      case 'E':
        this.#batch.add(this.#bound);
        return false;
      case 'Q':
        this.#batch.add(kindOf(first));
        return this.#endBatch();
      case 'S':
        return this.#endBatch();
      default:
        return false;
    }
  }

  #endBatch(): boolean {
    const batch = this.#batch;
    this.#batch = new Set();
    this.#waiting = true;
    return batch.has('commit') || (batch.has('write') && !batch.has('begin') && !this.#inTransaction);
  }

  /** A request to cancel comes over a connection of its own, in which nobody logs in. */
  #logIn(body: Buffer): void {
    if (body.readUInt32BE(0) !== PROTOCOL_3) return;
    const texts = textsOf(body.subarray(4));
    const at = texts.findIndex((text, i) => i % 2 === 0 && text === 'user');
    this.#user = texts[at + 1] ?? null;
  }
}
