/** Ends an exhaustive switch: the compiler proves that it is never reached, the error names the value if it is. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value ${JSON.stringify(value)}`);
}
