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
