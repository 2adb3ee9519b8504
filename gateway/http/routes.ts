import type { HttpBinding } from '../../runtime/http/bindings.ts';
import { HttpError } from '../../runtime/http/http-error.ts';
import { matchTemplate } from '../../runtime/http/path-template.ts';

export interface BoundCall {
  readonly binding: HttpBinding;
  /** Still percent-encoded. */
  readonly variables: ReadonlyMap<string, string>;
}

/** Finds the binding of a request's path and method. 404: no such path; 405 with Allow: the path knows other methods. A verb behind the path wins over a name that ends like one: a colon within a name is %3A. */
export class HttpRoutes {
  readonly #bindings: readonly HttpBinding[];

  constructor(bindings: readonly HttpBinding[]) {
    this.#bindings = [...bindings].sort((a, b) => Number(a.template.verb === null) - Number(b.template.verb === null));
  }

  /** `path` as it was sent, without its query. HEAD is a GET whose answer has no body. */
  find(httpMethod: string, path: string): BoundCall {
    const wanted = httpMethod === 'HEAD' ? 'GET' : httpMethod;
    const matches = this.#bindings.flatMap((binding) => {
      const variables = matchTemplate(binding.template, path);
      return variables === null ? [] : [{ binding, variables }];
    });
    const [first] = matches;
    if (first === undefined) throw new HttpError(404, `no such path; GET /openapi.json lists them all`);
    const alike = matches.filter(({ binding }) => binding.template.verb === first.binding.template.verb);
    const found = alike.find(({ binding }) => binding.httpMethod === wanted);
    if (found !== undefined) return found;
    throw methodNotAllowed(httpMethod, path, [...new Set(alike.map(({ binding }) => binding.httpMethod))]);
  }
}

/** 405 with the methods that the path knows. */
export function methodNotAllowed(httpMethod: string, path: string, allowed: readonly string[]): HttpError {
  const allow = allowed.flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name])).join(', ');
  return new HttpError(405, `${httpMethod} is not served at ${path}; use ${allow}`, 'HTTP_REQUEST_INVALID', { allow });
}
