import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';

/** A file that somebody wrote by hand is far smaller; a reader of YAML takes a time that grows with the square of what is wrong in it. */
const mostBytes = 64 * 1024;

/** A configuration that cannot be used; the message names every wrong field and is meant for the operator's terminal. */
export class ConfigError extends Error {}

/** Checks a configuration object. Unknown fields are errors when the schema is strict. */
export function parseConfig<S extends z.ZodType>(schema: S, value: unknown, origin: string): z.output<S> {
  const result = schema.safeParse(value);
  if (!result.success) throw new ConfigError(`${origin} is not usable:\n${z.prettifyError(result.error)}`);
  return result.data;
}

/** Reads a YAML (or JSON) file of at most 64 KiB; values of `overrides` that are not undefined win over the file's. Null path: the overrides alone. */
export async function loadConfig<S extends z.ZodType>(path: string | null, schema: S, overrides: Readonly<Record<string, unknown>> = {}): Promise<z.output<S>> {
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  if (path === null) return parseConfig(schema, given, 'the command line');
  let content: unknown;
  try {
    const text = await readFile(path);
    if (text.length > mostBytes) throw new Error(`it holds ${text.length} bytes; at most ${mostBytes} are read`);
    content = parse(text.toString('utf8')) ?? {};
  } catch (cause) {
    throw new ConfigError(`the configuration file ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (typeof content !== 'object' || Array.isArray(content)) throw new ConfigError(`the configuration file ${path} must hold a mapping of names to values`);
  return parseConfig(schema, { ...content, ...given }, path);
}
