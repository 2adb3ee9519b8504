import { file_switchyard_data_v1_data_service as file } from '../../gen/switchyard/data/v1/data_service_pb.ts';

/* Messages are written where both doors meet, in the words of the proto. Over HTTP they say what a caller has written: JSON's names of fields, and values without the member of Value that gRPC carries them in. */

/** The proto's names of fields that JSON writes otherwise. */
const jsonNames: ReadonlyMap<string, string> = new Map(file.messages.flatMap(({ fields }) => fields.map(({ name, jsonName }) => [name, jsonName] as const)));

/** Behind these stands the name of a column, which is the caller's. */
const holders = /^(?:row|rows\[\d+\]|key|keys\[\d+\]|add|value|values\[\d+\])$/;

/** A field's path at the beginning of a message: "mutations[3].update.update_mask[0]". */
const pathPattern = /^[\w.[\]]+(?=: )/;
const givenPattern = /^: got (?:(array|bytes)_value of|(?!null_)[a-z0-9]+_(?:value|micros)) /;
const wantedPattern = / as [a-z0-9]+_(?:value|micros)(?: of [a-z0-9]+_(?:value|micros))?$/;
/** A quotation without an end goes to the message's: looked for behind every quote again, it would cost the square of a name's length. */
const quotedPattern = /("(?:[^"\\]|\\[\s\S])*(?:"|\\?$))/;
/** What else messages say in the proto's words. */
const words: readonly (readonly [RegExp, string])[] = [
  [/\bis_null\b/g, 'isNull'],
  [/\bnull_value\b/g, 'null'],
  [/\bnext_page_token\b/g, 'nextPageToken'],
  [/\bone of OPERATOR_EQUAL to OPERATOR_GREATER_OR_EQUAL\b/g, 'one of =, <>, <, <=, > and >='],
  [/\bOPERATOR_EQUAL, OPERATOR_NOT_EQUAL\b/g, '=, <>'],
];

/** A message in the words of JSON. What is quoted in it is the caller's, and stays. */
export function inJsonWords(message: string): string {
  const path = pathPattern.exec(message)?.[0] ?? '';
  const rest = message.slice(path.length).replace(givenPattern, (_, sized?: string) => (sized === undefined ? ': got ' : `: got ${sized} of `));
  const parts = rest.replace(wantedPattern, '').split(quotedPattern);
  return pathInJson(path) + parts.map((part, index) => (index % 2 === 1 ? part : words.reduce((text, [pattern, word]) => text.replace(pattern, word), part))).join('');
}

function pathInJson(path: string): string {
  let isColumn = false;
  const segments = path.split('.').map((segment) => {
    if (isColumn) return segment;
    isColumn = holders.test(segment);
    return segment.replace(/^\w+/, (name) => jsonNames.get(name) ?? name);
  });
  // Over HTTP a list of filters is an array, without a field around it.
  return segments.join('.').replaceAll(/\b(and|or)\.filters\b/g, '$1');
}
