import { readFile, stat } from 'node:fs/promises';
import { SwitchyardError } from '../core/switchyard-error.ts';

export interface SecretContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the secret is, e.g. "the player's password". */
  readonly what: string;
  /** The process that looks for it, e.g. `gateway "g1"`: no other can. */
  readonly process: string;
}

const MOST_KIB = 64;

/** Resolves "env:NAME" or "file:/path" to the secret; a file's trailing newline is not part of it. KEYSPACE_INVALID names what is missing and in which process, never the value. */
export async function resolveSecret(reference: string, { env, what, process }: SecretContext): Promise<string> {
  if (reference.startsWith('env:')) {
    const value = env[reference.slice(4)];
    if (value !== undefined) return value;
    throw new SwitchyardError('KEYSPACE_INVALID', `${what} is ${reference}, and ${process} has no such environment variable`, { fix: 'set it and start that process again' });
  }
  if (reference.startsWith('file:')) {
    const path = reference.slice(5);
    try {
      // Who may name a file is not who wrote it: a device or a pipe would be read for ever.
      const found = await stat(path);
      if (found.isFile() && found.size <= MOST_KIB * 1024) return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
    } catch (cause) {
      const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an error';
      throw new SwitchyardError('KEYSPACE_INVALID', `${what} is ${reference}, and ${process} cannot read that file: ${why}`, { fix: 'make it readable for that process', cause });
    }
    throw new SwitchyardError('KEYSPACE_INVALID', `${what} is ${reference}, and ${process} takes only an ordinary file of at most ${MOST_KIB} KiB for a secret`);
  }
  throw new SwitchyardError('KEYSPACE_INVALID', `${what} must be given as "env:NAME" or "file:/path"`);
}
