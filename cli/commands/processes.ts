import type { Command } from 'commander';
import type { Context } from '../context.ts';

/** `switchyard gateway …`, `switchyard control …` and `switchyard topology …`: run the process in the foreground. */
export function addProcessCommands(program: Command, context: Context, exit: (code: number) => void): void {
  for (const [name, what] of [
    ['gateway', 'run a gateway: serves the data API and routes every call'],
    ['control', 'run a control process: workflows, cutovers, repair; run at least two'],
    ['topology', 'run a stand-in for Consul on a laptop: one process, one file, no replication'],
  ] as const) {
    program
      .command(name)
      .description(`${what} (all arguments are passed on; --help shows them)`)
      .helpOption(false)
      .allowUnknownOption()
      .allowExcessArguments()
      .argument('[arguments...]')
      .action(async (args: readonly string[]) => exit(await context.io.runProcess(name, args)));
  }
}
