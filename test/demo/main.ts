// npm run demo: a live move on this machine, from nothing to a finished cutover and back, in under two minutes.
import { Command, Option } from 'commander';
import { type StoreKind, storeKinds } from '../support/cluster/store.ts';
import { type TopologyServerKind, topologyServerKinds } from '../support/servers/topology-server.ts';
import { runDemo } from './demo.ts';
import { runDev } from './dev.ts';
import { isClean, reportOf } from './report.ts';
import { Screen } from './screen.ts';

const screen = new Screen({ write: (text) => process.stdout.write(text), terminal: process.stdout.isTTY === true });

const program = new Command('demo')
  .description(
    'Moves live tables between two stores under traffic, there and back and there again, and judges by the record of the services. Exits non-zero when anything was lost or any call failed.',
  )
  .addOption(new Option('--old <kind>', 'the store that the tables are in').choices(storeKinds).default('sqlite'))
  .addOption(new Option('--new <kind>', 'the store that they move to').choices(storeKinds).default('sqlite'))
  .addOption(new Option('--topo <kind>', 'what holds the routing rules').choices(topologyServerKinds).default('embedded'))
  .option('--stay', 'start the same set-up, say what to try, and leave it open until Ctrl-C')
  .action(async (options: { old: StoreKind; new: StoreKind; topo: TopologyServerKind; stay?: boolean }) => {
    const stage = { old: options.old, new: options.new, topology: options.topo };
    if (options.stay === true) return runDev(screen, stage);
    screen.say('Switchyard: live tables move from an old store to a new one while services write and read them.\n');
    const outcome = await runDemo(screen, stage);
    screen.say(`\n${reportOf(outcome)}`);
    if (!isClean(outcome)) process.exitCode = 1;
  });
try {
  await program.parseAsync();
} catch (error) {
  screen.clear();
  screen.say(`\nThe demo could not go on: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
