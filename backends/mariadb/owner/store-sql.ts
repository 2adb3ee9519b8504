import { COPY_TABLE, FENCE_TABLE, MARKER_TABLE, nowMicros, REQUEST_TABLE, STREAM_TABLE, WATERMARK_TABLE } from '../names.ts';

/*
 * Switchyard's own tables in the keyspace's database. Only the owner writes fence, gate and pass, and only by the functions of fence-sql.ts: each is one statement that commits or fails as a whole, so that no client ever holds a lock on
 * their rows while it thinks, or sleeps.
 */

/** One row per workflow that ever claimed tables here. Writers of its tables share the row's lock, and only a fence asks for it alone: that is how it waits for them. */
export const GATE_TABLE = 'switchyard_gate';
/**
 * One row per table and attempt in which the table was open here. A writer keeps the row of the attempt that it sees shared until its transaction ends; `fence` closes it for good, and nobody ever opens it again: whoever has an older
 * snapshot meets it closed. What opens the table again adds a row of its own, and so waits for nobody.
 */
export const PASS_TABLE = 'switchyard_pass';
/** The streams that read the log, each from `position` on: what is before that, nobody wants any more. */
export const LOG_TABLE = 'switchyard_log';
/** The attempt for which each stream's log was begun last, also where the log has gone since. */
export const LOG_ATTEMPT_TABLE = 'switchyard_log_attempt';
/** The highest attempt of each workflow that has begun to prepare to leave this store. */
export const PREPARATION_TABLE = 'switchyard_preparation';
/** The gateway's rights on each table, as they were saved. */
export const RIGHTS_TABLE = 'switchyard_rights';
export const INSTALLATION_TABLE = 'switchyard_installation';

/** Raised whenever the tables' shape changes; a step of `migrations` leads to it. */
export const STORE_VERSION = 2;

const text = 'varchar(255) NOT NULL';
const table = (name: string, columns: string): string =>
  `CREATE TABLE IF NOT EXISTS ${name} (${columns}) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`;

export const installationTable = table(INSTALLATION_TABLE, 'id tinyint NOT NULL PRIMARY KEY CHECK (id = 1), version int NOT NULL, digest varchar(64) NOT NULL');

/**
 * Step n leads from version n − 1 to n. Never edited once released. Every statement commits by itself, so each may be repeated.
 * `guarded` of a fence row: 1 when the table's triggers were on before it could have a row that is not the workflow's; without it no target becomes readable.
 */
export const migrations: readonly (readonly string[])[] = [
  [
    table(
      FENCE_TABLE,
      `table_name varchar(64) NOT NULL PRIMARY KEY, state varchar(10) NOT NULL CHECK (state IN ('OPEN', 'FROZEN', 'SEALED', 'CLOSED', 'READABLE')), attempt bigint NOT NULL CHECK (attempt >= 0),
  peer ${text}, workflow varchar(255) NULL, guarded tinyint NOT NULL DEFAULT 0`,
    ),
    table(GATE_TABLE, `workflow ${text} PRIMARY KEY`),
    table(PASS_TABLE, 'table_name varchar(64) NOT NULL, attempt bigint NOT NULL, is_open tinyint NOT NULL, PRIMARY KEY (table_name, attempt)'),
    table(STREAM_TABLE, `id ${text} PRIMARY KEY, workflow ${text}, token bigint NOT NULL, position longtext NOT NULL, marker bigint NOT NULL, applied bigint NOT NULL DEFAULT 0`),
    table(COPY_TABLE, `stream ${text}, table_name ${text}, last_key longtext NULL, row_count bigint NOT NULL, done tinyint NOT NULL, PRIMARY KEY (stream, table_name)`),
    table(MARKER_TABLE, `workflow ${text} PRIMARY KEY, attempt bigint NOT NULL`),
    table(WATERMARK_TABLE, `stream ${text} PRIMARY KEY, id bigint NOT NULL`),
    table(RIGHTS_TABLE, 'table_name varchar(64) NOT NULL PRIMARY KEY, privileges varchar(64) NOT NULL'),
    table(LOG_TABLE, `stream ${text} PRIMARY KEY, workflow ${text}, tables longtext NOT NULL, position longtext NOT NULL`),
    table(LOG_ATTEMPT_TABLE, `stream ${text} PRIMARY KEY, attempt bigint NOT NULL`),
    table(PREPARATION_TABLE, `workflow ${text} PRIMARY KEY, attempt bigint NOT NULL`),
  ],
  [
    table(
      REQUEST_TABLE,
      `caller ${text}, request_id ${text}, table_name ${text}, digest longtext NOT NULL, result longblob NOT NULL, recorded_at bigint NOT NULL DEFAULT (${nowMicros}),
  PRIMARY KEY (caller, request_id, table_name), KEY ${REQUEST_TABLE}_recorded_at (recorded_at)`,
    ),
  ],
];

/** Every one of our tables. */
export const ownTables: readonly string[] = [
  INSTALLATION_TABLE,
  FENCE_TABLE,
  GATE_TABLE,
  PASS_TABLE,
  STREAM_TABLE,
  COPY_TABLE,
  MARKER_TABLE,
  WATERMARK_TABLE,
  RIGHTS_TABLE,
  LOG_TABLE,
  LOG_ATTEMPT_TABLE,
  PREPARATION_TABLE,
  REQUEST_TABLE,
];
