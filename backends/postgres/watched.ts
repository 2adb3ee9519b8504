/** Of a watched table: writes down each change of a row. */
export const CHANGE_TRIGGER = 'switchyard_watch_change';

/** Tables with the trigger; the table of names also has those that were watched once. */
export const watchedText = `SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname = '${CHANGE_TRIGGER}' AND c.relnamespace = 'public'::regnamespace AND t.tgparentid = 0 ORDER BY c.relname`;
