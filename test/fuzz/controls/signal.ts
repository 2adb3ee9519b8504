import { planted } from './planted.ts';

/** A fault below JavaScript, which no handler hears of. */
export const target = planted('signal', () => process.kill(process.pid, 'SIGSEGV'));
