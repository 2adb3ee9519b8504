import { readFile } from 'node:fs/promises';
import { SwitchyardError } from '../core/switchyard-error.ts';

/** Resolves "env:NAME" or "file:/path" to the secret; a file's trailing newline is not part of it. KEYSPACE_INVALID names what is missing, never the value. */
export async function resolveSecret(reference: string, env: Readonly<Record<string, string | undefined>>): Promise<string> {
  if (reference.startsWith('env:')) {
    const value = env[reference.slice(4)];
    if (value === undefined) throw new SwitchyardError('KEYSPACE_INVALID', `the environment variable ${reference.slice(4)}, which a credential names, is not set in this process`);
    return value;
  }
  if (reference.startsWith('file:')) {
    try {
      return (await readFile(reference.slice(5), 'utf8')).replace(/\r?\n$/, '');
    } catch (cause) {
      throw new SwitchyardError('KEYSPACE_INVALID', `the file ${reference.slice(5)}, which a credential names, cannot be read`, { cause });
    }
  }
  throw new SwitchyardError('KEYSPACE_INVALID', 'a credential must be given as "env:NAME" or "file:/path"');
}
