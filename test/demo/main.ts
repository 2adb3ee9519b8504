// npm run demo: a live move on this machine, from nothing to a finished cutover and back, in under two minutes.
import { Command } from 'commander';
import { runDemo } from './demo.ts';
import { isClean, reportOf } from './report.ts';
import { Screen } from './screen.ts';

const screen = new Screen({ write: (text) => process.stdout.write(text), terminal: process.stdout.isTTY === true });

const program = new Command('demo')
  .description(
    'Moves live tables between two stores under traffic, there and back and there again, and judges by the record of the services. Exits non-zero when anything was lost or any call failed.',
  )
  .action(async () => {
    screen.say('Switchyard: live tables move from an old store to a new one while services write and read them.\n');
    const outcome = await runDemo(screen);
    screen.say(`\n${reportOf(outcome)}`);
    if (!isClean(outcome)) process.exitCode = 1;
  });
await program.parseAsync();
