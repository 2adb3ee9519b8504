import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { ownMember } from '../core/own-member.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Io } from './context.ts';

const contextsSchema = z.strictObject({
  /** The one that is used when none is named. */
  current: z.string().optional(),
  contexts: z.record(z.string().regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, _ . or -'), z.strictObject({ control: z.string().min(1) })).default({}),
});

export type Contexts = z.output<typeof contextsSchema>;

/** The clusters that a person has named on this machine. ARGUMENT_INVALID names what is wrong in the file. */
export async function readContexts({ settings }: Io): Promise<Contexts> {
  const text = await settings.read();
  if (text === null) return { contexts: {} };
  let given: unknown;
  try {
    given = parse(text);
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', `${settings.path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const parsed = contextsSchema.safeParse(given ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new SwitchyardError('ARGUMENT_INVALID', `${settings.path}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

export async function writeContexts({ settings }: Io, contexts: Contexts): Promise<void> {
  await settings.write(stringify(contexts));
}

/** The address of a named context's control process. ARGUMENT_INVALID when there is none of that name. */
export function controlOf({ contexts }: Contexts, name: string): string {
  const found = ownMember(contexts, name);
  if (found !== undefined) return found.control;
  const known = Object.keys(contexts).join(', ');
  throw new SwitchyardError(
    'ARGUMENT_INVALID',
    `there is no context "${name}"; known: ${known === '' ? 'none' : known}. Make one: switchyard context set ${name} --control HOST:PORT`,
  );
}
