/** Lines of COPY's text format, as every session with the settings of connection.ts writes and reads them. */
export const COPY_FORM = 'postgres-copy';

const special = /[\\\n\r\t]/;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A row's texts as a line of COPY's text format, its end included (PostgreSQL's manual, COPY, "Text Format"). */
export function copyLine(cells: readonly (string | null)[]): string {
  let line = '';
  for (const [at, cell] of cells.entries()) {
    if (at > 0) line += '\t';
    if (cell === null) line += '\\N';
    else line += special.test(cell) ? cell.replaceAll(/[\\\n\r\t]/g, (character) => escapes[character] ?? character) : cell;
  }
  return `${line}\n`;
}

const unescapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** The texts of a line of what COPY … TO has sent, its end left out. */
export function cellsOfLine(line: string): readonly (string | null)[] {
  const cells = line.split('\t');
  if (!line.includes('\\')) return cells;
  return cells.map((cell) => (cell === '\\N' ? null : cell.replaceAll(/\\(.)/g, (_, character: string) => unescapes[character] ?? character)));
}
