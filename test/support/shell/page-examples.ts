/** What a page tells its reader to type, and what it says is printed then. */
export interface PageExample {
  readonly command: string;
  /** Null where the page leaves open what is printed. */
  readonly answer: string | null;
}

/**
 * The ```sh blocks of a Markdown text, in order, without their fences; of one `##` section, or of the whole text. A block without a language, or of JSON, that follows right after one is what its commands print.
 * Throws when there is no such section, and when there is no block.
 */
export function examplesOf(markdown: string, section?: string): readonly PageExample[] {
  const text = section === undefined ? markdown : markdown.split(/^## /m).find((part) => part.startsWith(`${section}\n`));
  if (text === undefined) throw new Error(`the text has no section "${section}"`);
  const examples = [...text.matchAll(/^```sh\n([\s\S]*?)^```\n(?:\n```(?:json)?\n([\s\S]*?)^```$)?/gm)].map(([, command = '', answer]) => ({ command, answer: answer ?? null }));
  if (examples.length === 0) throw new Error(`${section === undefined ? 'the text' : `section "${section}"`} has no \`\`\`sh block`);
  return examples;
}

/** Every page that has commands, and the test that runs them all. */
export const testsOfPages: Readonly<Record<string, string>> = {
  'README.md': 'test/e2e/docs-examples.test.ts',
  'docs/cli.md': 'test/e2e/docs-examples.test.ts',
  'docs/data-api.md': 'test/e2e/docs-examples.test.ts',
  'docs/first-move.md': 'test/e2e/docs-examples.test.ts',
  'docs/operations.md': 'test/e2e/docs-examples.test.ts',
  'docs/types.md': 'test/e2e/docs-examples.test.ts',
  'docs/client.md': 'test/integration/typed-client.test.ts',
  'docs/languages.md': 'test/e2e/languages.test.ts',
  'docs/http.md': 'test/integration/gateway-http.test.ts',
  'docs/sample-schema.md': 'test/integration/sample-schema.test.ts',
};
