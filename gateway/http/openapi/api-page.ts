/* The OpenAPI document as a page for people: plain HTML without scripts, readable in any browser and in a terminal. */

type Json = Readonly<Record<string, unknown>>;

const asObject = (value: unknown): Json => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {});
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (value: unknown): string => String(value ?? '').replace(/[&<>"']/g, (character) => escapes[character] ?? '');

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --soft: color-mix(in srgb, currentColor 65%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .6rem .8rem; border: 1px solid var(--line); border-radius: 4px; }
details { border-top: 1px solid var(--line); padding: .45rem 0; } details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; } summary b { display: inline-block; width: 4.5rem; } summary span { color: var(--soft); margin-left: .75rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; } .soft { color: var(--soft); }
nav a { margin-right: .9rem; }`;

/** Only its own style may be used; nothing is loaded from anywhere. */
export const apiPageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

/** `text`: the document as JSON. */
export function apiPage(text: string): string {
  const document = asObject(JSON.parse(text));
  const page = new ApiPage(document);
  const { title, description } = asObject(document.info);
  const groups = page.groups();
  const link = (name: string): string => `<a href="#${escaped(anchor(name))}">${escaped(name)}</a>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${style}</style></head>
<body><h1>${escaped(title)}</h1><p>${escaped(description)} For programs: <a href="/openapi.json">openapi.json</a>.</p>
<nav>${[...groups.keys()].map(link).join('')}</nav>
${[...groups].map(([name, operations]) => `<h2 id="${escaped(anchor(name))}">${escaped(name)}</h2>${operations.join('')}`).join('\n')}
</body></html>
`;
}

const anchor = (name: string): string => encodeURIComponent(name);
const general = 'All tables';

class ApiPage {
  readonly #document: Json;

  constructor(document: Json) {
    this.#document = document;
  }

  /** Operations as HTML by the table that they are of. */
  groups(): ReadonlyMap<string, readonly string[]> {
    const groups = new Map<string, string[]>([[general, []]]);
    for (const [path, item] of Object.entries(asObject(this.#document.paths))) {
      for (const [method, given] of Object.entries(asObject(item))) {
        const operation = asObject(given);
        const name = String(asList(operation.tags)[0] ?? general);
        groups.set(name, [...(groups.get(name) ?? []), this.#operation(method, path, operation)]);
      }
    }
    return groups;
  }

  #operation(method: string, path: string, operation: Json): string {
    const parameters = asList(operation.parameters).map((parameter) => this.#followed(parameter));
    const rows = parameters.map(
      ({ name, in: place, required, description, schema, content }) =>
        `<tr><td><code>${escaped(name)}</code></td><td class="soft">${escaped(place)}${required === true ? ', required' : ''}</td><td><code>${escaped(this.#shape(schema ?? mediaOf(content).schema, 1))}</code></td><td>${escaped(description)}</td></tr>`,
    );
    const body = operation.requestBody === undefined ? '' : `<p>Body</p><pre>${escaped(this.#shape(mediaOf(asObject(operation.requestBody).content).schema, 4))}</pre>`;
    const answers = Object.entries(asObject(operation.responses)).map(([status, given]) => {
      const { description, content } = this.#followed(given);
      const shape = content === undefined ? '' : `<pre>${escaped(this.#shape(mediaOf(content).schema, 3))}</pre>`;
      return `<p>${escaped(status === 'default' ? 'Failure' : status)}: ${escaped(description)}</p>${status === 'default' ? '' : shape}`;
    });
    return `<details><summary><b>${escaped(method.toUpperCase())}</b><code>${escaped(path)}</code><span>${escaped(operation.summary)}</span></summary>
${rows.length === 0 ? '' : `<table>${rows.join('')}</table>`}${body}${answers.join('')}</details>`;
  }

  #followed(given: unknown): Json {
    const object = asObject(given);
    if (typeof object.$ref !== 'string') return object;
    const parts = object.$ref.slice('#/'.length).split('/');
    return asObject(parts.reduce<unknown>((at, part) => asObject(at)[part], this.#document));
  }

  /** A schema as one would write it down for a reader, so many levels deep. */
  #shape(given: unknown, depth: number, indent = ''): string {
    const name = asObject(given).$ref;
    if (typeof name === 'string' && depth <= 0) return name.split('/').at(-1) ?? '';
    const schema = this.#followed(given);
    if (Array.isArray(schema.anyOf)) return schema.anyOf.map((one) => this.#shape(one, depth, indent)).join(' | ');
    if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
    if (schema.type === 'array') return `[${this.#shape(schema.items, depth, indent)}, …]`;
    const properties = Object.entries(asObject(schema.properties));
    if (properties.length === 0) return schema.type === undefined ? 'any' : [schema.type, schema.format].filter((part) => part !== undefined).join(' ');
    if (depth <= 0) return '{…}';
    const required = asList(schema.required);
    const inner = `${indent}  `;
    const lines = properties.map(([property, value]) => `${inner}${property}${required.includes(property) ? '' : '?'}: ${this.#shape(value, depth - 1, inner)}`);
    return `{\n${lines.join('\n')}\n${indent}}`;
  }
}

const mediaOf = (content: unknown): Json => asObject(Object.values(asObject(content))[0]);
