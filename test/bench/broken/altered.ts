/** `target` with some of its methods replaced. Every other one is called on the target itself, so that private fields stay whole. */
export function altered<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(replaced, name)) return Reflect.get(replaced, name);
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      // Not `bind`: AsyncDisposableStack takes a bound function for none.
      return (...given: unknown[]): unknown => Reflect.apply(value, target, given);
    },
  });
}
