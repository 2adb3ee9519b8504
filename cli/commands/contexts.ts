import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { controlOf, readContexts, writeContexts } from '../contexts.ts';
import { textTable } from '../render/text-table.ts';

/** `switchyard context …`: names for clusters, kept in the person's own settings. */
export function addContextCommands(program: Command, context: Context): void {
  const contexts = program.command('context').description('names for the clusters that you work with');

  contexts
    .command('list', { isDefault: true })
    .description('the contexts of this machine; * is the one in use')
    .action(async () => {
      const known = await readContexts(context.io);
      const rows = Object.entries(known.contexts).map(([name, { control }]) => [name === known.current ? '*' : '', name, control]);
      context.printJson(known, textTable([{ title: '' }, { title: 'CONTEXT' }, { title: 'CONTROL' }], rows, 'no contexts yet: switchyard context set NAME --control HOST:PORT'));
    });

  contexts
    .command('set')
    .description('make or change a context; the first one is used at once')
    .argument('<name>')
    .requiredOption('--control <address>', 'address of one of its control processes')
    .action(async (name: string, { control }: { control: string }) => {
      const known = await readContexts(context.io);
      await writeContexts(context.io, { current: known.current ?? name, contexts: { ...known.contexts, [name]: { control } } });
      context.say(`context ${name} leads to ${control}${known.current === undefined ? ' and is in use' : ''}`);
    });

  contexts
    .command('use')
    .description('work with this context from now on')
    .argument('<name>')
    .action(async (name: string) => {
      const known = await readContexts(context.io);
      const control = controlOf(known, name);
      await writeContexts(context.io, { ...known, current: name });
      context.say(`context ${name} (${control}) is in use`);
    });

  contexts
    .command('remove')
    .description('forget a context')
    .argument('<name>')
    .action(async (name: string) => {
      const known = await readContexts(context.io);
      controlOf(known, name);
      const { [name]: _, ...contexts } = known.contexts;
      await writeContexts(context.io, { ...(known.current === name || known.current === undefined ? {} : { current: known.current }), contexts });
      context.say(`context ${name} is forgotten`);
    });
}
