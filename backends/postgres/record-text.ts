/** The fields of a record's text, as the server writes it: "(1,\"a, b\",,\"\")" is 1, "a, b", NULL and an empty text. */
export function fieldsOfRecord(text: string): readonly (string | null)[] {
  const fields: (string | null)[] = [];
  for (let at = 1; at < text.length; at += 1) {
    let field: string | null = null;
    // Any part of a field may be quoted; within quotes a quote and a backslash are doubled.
    for (let quoted = false; quoted || (text[at] !== ',' && text[at] !== ')'); at += 1) {
      const character = text[at];
      if (character === undefined) throw new Error('a record ends in the middle of a field');
      field ??= '';
      if (character !== '"' && character !== '\\') field += character;
      else if (text[at + 1] === character && (quoted || character === '\\')) {
        field += character;
        at += 1;
      } else quoted = !quoted;
    }
    fields.push(field);
  }
  return fields;
}
