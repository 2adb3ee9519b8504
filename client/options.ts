import { closestName, didYouMean } from '../core/closest-name.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';

/* What each call takes, told again while a program runs: in JavaScript, or in an object that was made elsewhere, no compiler sees a misspelt condition, and one that is left out lets every row pass. */

const own = ['deadlineMs', 'signal'] as const;
const write = [...own, 'requestId'] as const;
const rows = ['where', 'orderBy', 'columns'] as const;
const page = [...rows, 'pageSize', 'pageToken'] as const;
const grouped = ['where', 'groupBy'] as const;

/** The options of every call: of the database, of a table on its own, within a transaction, and as a part of a mutate. */
export const optionNames = {
  database: {
    openDatabase: ['addresses', 'deadlineMs', 'traceparent', 'caller', 'channel', 'requestIds'],
    mutate: write,
    transact: ['isolation', 'readOnly', 'retryMs', 'signal', 'onRetry'],
  },
  alone: {
    get: [...own, 'columns'],
    getTagged: own,
    batchGet: [...own, 'columns'],
    query: [...own, ...page],
    stream: [...own, ...rows, 'limit'],
    count: own,
    aggregate: [...own, ...grouped],
    watch: ['token', 'signal', 'onBegin', 'onRetry'],
    insert: [...write, 'returning'],
    insertMany: [...write, 'returning'],
    upsert: [...write, 'returning', 'where'],
    update: [...write, 'returning', 'where', 'etag'],
    delete: [...write, 'where', 'etag'],
  },
  transaction: {
    get: ['columns', 'lock'],
    getTagged: [],
    batchGet: ['columns', 'lock'],
    query: [...page, 'lock'],
    count: [],
    aggregate: grouped,
    insert: ['returning'],
    insertMany: ['returning'],
    upsert: ['returning', 'where'],
    update: ['returning', 'where', 'etag'],
    delete: ['where', 'etag'],
  },
  batch: {
    insert: ['returning'],
    upsert: ['returning', 'where'],
    update: ['returning', 'where'],
    delete: ['where'],
  },
} as const;

type Scope = keyof typeof optionNames;
export type CallOf<S extends Scope> = Extract<keyof (typeof optionNames)[S], string>;

const ofTheTransaction = 'a transaction has it as a whole, with its own options; leave it out within db.transact';
const ofTheMutate = 'a mutate has it as a whole, with its own options; leave it out within db.mutate';
/** Why a call does not take what others do. */
const reasons: Readonly<Record<Scope, ReadonlyMap<string, string>>> = {
  database: new Map(),
  alone: new Map([['lock', 'a lock lasts as long as its transaction; read within db.transact']]),
  transaction: new Map([...write.map((name) => [name, ofTheTransaction] as const), ['lock', 'goes with get, batchGet and query only']]),
  batch: new Map([
    ...write.map((name) => [name, ofTheMutate] as const),
    ['etag', 'not within db.mutate; give a where, or make the write a call of its own or one of a transaction'],
  ]),
};

/** ARGUMENT_INVALID names an option that the call does not take. One that is undefined is left out. */
export function checkOptions<S extends Scope>(scope: S, call: CallOf<S>, options: unknown): void {
  if (options === undefined) return;
  const names = optionNames[scope][call] as readonly string[];
  checkNames(`options of ${call}`, options, (name) => {
    if (names.includes(name)) return null;
    const takes = names.length === 0 ? 'none' : names.join(', ');
    return reasons[scope].get(name) ?? `${call} has no such option${didYouMean(closestName(name, names))}; it takes ${takes}`;
  });
}

/** ARGUMENT_INVALID where it is no object, or has a member that is told why not. */
export function checkNames(what: string, given: unknown, whyNot: (name: string) => string | null): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new SwitchyardError('ARGUMENT_INVALID', `${what}: got ${Array.isArray(given) ? 'an array' : String(given)}; must be an object`);
  for (const [name, value] of Object.entries(given)) {
    const why = value === undefined ? null : whyNot(name);
    if (why !== null) throw new SwitchyardError('ARGUMENT_INVALID', `${name}: ${why}`);
  }
}
