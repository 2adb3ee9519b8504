type Segment = { readonly literal: string } | { readonly variable: string };

/** A path of a google.api.http rule: segments that are literal or one variable, perhaps a verb behind the last: "/v1/tables/{table}:query". */
export interface PathTemplate {
  readonly text: string;
  readonly segments: readonly Segment[];
  readonly verb: string | null;
}

/** Throws where the template uses what is not supported (wildcards, paths within variables): that is a fault of the proto, found at start. */
export function parseTemplate(text: string): PathTemplate {
  const [, path = '', verb] = /^(\/[^:]*)(?::([A-Za-z]+))?$/.exec(text) ?? [];
  if (path === '') throw new Error(`${text} is no path template`);
  const segments = path
    .slice(1)
    .split('/')
    .map((segment): Segment => {
      const variable = /^\{([a-z_]+)\}$/.exec(segment)?.[1];
      if (variable !== undefined) return { variable };
      if (!/^[\w.-]+$/.test(segment)) throw new Error(`segment ${segment} of ${text} is neither literal nor one variable`);
      return { literal: segment };
    });
  return { text, segments, verb: verb ?? null };
}

/** Variables of a path as it was sent, still percent-encoded; null where it does not match. A template without a verb takes a colon as part of its last variable. */
export function matchTemplate(template: PathTemplate, path: string): ReadonlyMap<string, string> | null {
  const { segments, verb } = template;
  if (verb !== null && !path.endsWith(`:${verb}`)) return null;
  const given = (verb === null ? path : path.slice(0, -verb.length - 1)).slice(1).split('/');
  if (!path.startsWith('/') || given.length !== segments.length) return null;
  const variables = new Map<string, string>();
  for (const [index, segment] of segments.entries()) {
    const part = given[index] ?? '';
    if ('literal' in segment) {
      if (part !== segment.literal) return null;
    } else variables.set(segment.variable, part);
  }
  return variables;
}
