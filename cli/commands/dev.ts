import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';

// The demo's own: its code is not for the command to import. A test holds them together.
const storeKinds = ['postgres', 'mariadb', 'sqlite'];
const topologyKinds = ['consul', 'embedded'];

/** `switchyard dev`: the set-up of the demo, left open to play with. What is not given the demo decides. */
export function addDevCommand(program: Command, context: Context, exit: (code: number) => void): void {
  program
    .command('dev')
    .description('start two stores with tables, two gateways and two control processes on this machine, say what to try, and stay until Ctrl-C; needs a checkout of the sources')
    .addOption(new Option('--old <kind>', 'the store that the tables are in (default "sqlite")').choices(storeKinds))
    .addOption(new Option('--new <kind>', 'the store that they can move to (default "sqlite")').choices(storeKinds))
    .addOption(new Option('--topo <kind>', 'what holds the routing rules (default "embedded")').choices(topologyKinds))
    .addHelpText('after', '\nExample:\n  switchyard dev --old sqlite --new postgres')
    .action(async (options: Readonly<Record<string, string>>) => {
      const given = Object.entries(options).flatMap(([name, kind]) => [`--${name}`, kind]);
      exit(await context.io.runProcess('demo', ['--stay', ...given]));
    });
}
