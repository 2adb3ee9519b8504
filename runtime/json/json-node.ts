/**
 * A parsed JSON value that has lost nothing: numbers are still the text that the caller wrote, and `source` is the whole text of a value.
 */
export type JsonNode =
  | { readonly kind: 'null'; readonly source: string }
  | { readonly kind: 'boolean'; readonly value: boolean; readonly source: string }
  | { readonly kind: 'number'; readonly source: string }
  | { readonly kind: 'string'; readonly value: string; readonly source: string }
  | { readonly kind: 'array'; readonly elements: readonly JsonNode[]; readonly source: string }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, JsonNode>; readonly source: string };

export type JsonObject = Extract<JsonNode, { kind: 'object' }>;

/** A string as a node, for texts that come from a path or a query parameter. */
export const stringNode = (value: string): JsonNode => ({ kind: 'string', value, source: JSON.stringify(value) });

const mostShown = 64;

/** What was given, for a message: short, on one line. */
export function shownNode(node: JsonNode): string {
  if (node.kind === 'array') return `an array of ${node.elements.length}`;
  if (node.kind === 'object') return 'an object';
  return node.source.length > mostShown ? `${node.source.slice(0, mostShown)}…` : node.source;
}
