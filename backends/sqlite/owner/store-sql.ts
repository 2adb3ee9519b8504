/*
 * Switchyard's own tables in the store's file. SQLite has no schemas, so they share their names' beginning; the file has one writer at a time, so a transaction that holds the write lock sees and changes all of it
 * alone. Older programs (the sqlite3 shell of a distribution) fire the triggers too: nothing here is newer than SQLite 3.37.
 */

/** Raised whenever the tables' shape changes; a step of `migrations` leads to it. */
export const STORE_VERSION = 4;

/** Step n leads from version n − 1 to n. Never edited once released. */
export const migrations: readonly string[] = [
  `
CREATE TABLE switchyard_fence (
  table_name TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('OPEN', 'FROZEN', 'SEALED', 'CLOSED', 'READABLE')),
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  peer TEXT NOT NULL,
  workflow TEXT
) WITHOUT ROWID;
CREATE TABLE switchyard_stream (
  id TEXT NOT NULL PRIMARY KEY,
  workflow TEXT NOT NULL,
  token INTEGER NOT NULL,
  position TEXT NOT NULL,
  marker INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE switchyard_copy (
  stream TEXT NOT NULL,
  table_name TEXT NOT NULL,
  last_key TEXT,
  rows INTEGER NOT NULL,
  done INTEGER NOT NULL,
  PRIMARY KEY (stream, table_name)
) WITHOUT ROWID;
CREATE TABLE switchyard_marker (workflow TEXT NOT NULL PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE switchyard_sequence (table_name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- 1 while a player's transaction runs: it sets it first and clears it last, so no other transaction ever sees it.
CREATE TABLE switchyard_session (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), player INTEGER NOT NULL);
INSERT INTO switchyard_session (id, player) VALUES (1, 0);
-- One row for each stream that the log is kept for. tables: a JSON array.
CREATE TABLE switchyard_log (stream TEXT NOT NULL PRIMARY KEY, workflow TEXT NOT NULL, tables TEXT NOT NULL, confirmed INTEGER NOT NULL) WITHOUT ROWID;
-- The log. Its cells c0, c1, … come as wide tables need them; without a type they keep every value as it is. AUTOINCREMENT: an id is never given twice.
CREATE TABLE switchyard_change (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, number INTEGER);
-- Rows that a write's REPLACE may be about to delete, by their primary key, behind the write's mark (number -1).
CREATE TABLE switchyard_candidate (name TEXT NOT NULL, number INTEGER NOT NULL, c0);
CREATE INDEX switchyard_candidate_key ON switchyard_candidate (name, number, c0);`,
  `
-- Records of the writes that are done once: never changed, removed when their time is over. recorded_at: microseconds since the epoch.
CREATE TABLE switchyard_request (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  caller TEXT NOT NULL,
  request_id TEXT NOT NULL,
  table_name TEXT NOT NULL,
  digest TEXT NOT NULL,
  result BLOB NOT NULL,
  recorded_at INTEGER NOT NULL,
  UNIQUE (caller, request_id, table_name)
);
CREATE INDEX switchyard_request_recorded_at ON switchyard_request (recorded_at);
-- For every stream that there is, older ones too: the log names the record, which is read from its own table. That one was removed is nobody's concern.
CREATE TRIGGER switchyard_log_request AFTER INSERT ON switchyard_request
WHEN (SELECT player FROM switchyard_session) = 0 AND EXISTS (SELECT 1 FROM switchyard_log l, json_each(l.tables) t WHERE t.value = NEW.table_name)
BEGIN
  INSERT INTO switchyard_change (at, kind, name, number) VALUES ((julianday('now') - 2440587.5) * 86400000.0, 'request', NEW.table_name, NEW.id);
END;`,
  // The attempt for which each stream's log was begun last, also where the log has gone since.
  'CREATE TABLE switchyard_log_attempt (stream TEXT NOT NULL PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID;',
  // The highest attempt of each workflow that has begun to prepare to leave this store.
  'CREATE TABLE switchyard_preparation (workflow TEXT NOT NULL PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID;',
];

/** Milliseconds since the epoch, as SQL. */
export const nowMs = `((julianday('now') - 2440587.5) * 86400000.0)`;
/** Microseconds since the epoch, as SQL; SQLite's clock has whole milliseconds. */
export const nowMicros = `(CAST(round(${nowMs}) AS INTEGER) * 1000)`;
