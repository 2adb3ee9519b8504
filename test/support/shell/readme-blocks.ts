/** The ```sh blocks of one section of a Markdown text, in order, without their fences. Throws when there is no such section. */
export function shellBlocks(markdown: string, section: string): readonly string[] {
  const parts = markdown.split(/^## /m);
  const found = parts.find((part) => part.startsWith(`${section}\n`));
  if (found === undefined) throw new Error(`the text has no section "${section}"`);
  return [...found.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
}
