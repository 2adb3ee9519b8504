/*
 * Switchyard's own tables. A keyspace is a database of the server, and they live in it beside the tables that are served: their names share a beginning, and no table with it is served. Texts in them are utf8mb4 with the collation
 * utf8mb4_nopad_bin: equal only bit by bit.
 */

/** How every name of ours begins, of triggers too. Where the server does not tell letter cases of tables apart, no spelling of it is served. */
export const OWN_PREFIX = 'switchyard_';

/** One row per managed table, kept for ever: table_name (key), state, attempt, peer, workflow (null: none). */
export const FENCE_TABLE = 'switchyard_fence';
/** Records of the writes that are done once: caller, request_id, table_name (key together), digest, result, recorded_at (BIGINT, microseconds since the epoch). */
export const REQUEST_TABLE = 'switchyard_request';
/**
 * One row per stream that leads here: id (key), workflow, token, position, marker, applied (BIGINT, 0 at first). A transaction with rows of it is a player's. The log has no row of an update that changes nothing, so every transaction of a player
 * counts `applied` up.
 */
export const STREAM_TABLE = 'switchyard_stream';
/** Progress of copies: stream, table_name (key together), last_key, row_count, done. */
export const COPY_TABLE = 'switchyard_copy';
/** Attempts whose end of history has been written: workflow (key), attempt. */
export const MARKER_TABLE = 'switchyard_marker';
/** Numbers that control writes into the log: stream (key), id. */
export const WATERMARK_TABLE = 'switchyard_watermark';

/** Whether a table of this name is one of ours. */
export const isOwnTable = (name: string): boolean => name.toLowerCase().startsWith(OWN_PREFIX);

/** Microseconds since the epoch on the store's clock, as SQL: when it is computed, also within a long transaction. */
export const nowMicros = 'CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)';
