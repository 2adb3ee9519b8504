import completion from '@bomb.sh/tab/commander';
import { Command, CommanderError, Option } from 'commander';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { addClientCommands } from './commands/client.ts';
import { addContextCommands } from './commands/contexts.ts';
import { addDevCommand } from './commands/dev.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addGatewayCommands } from './commands/gateways.ts';
import { addKeyspaceCommands } from './commands/keyspace.ts';
import { addMoveTablesCommands } from './commands/movetables.ts';
import { addProcessCommands } from './commands/processes.ts';
import { addRulesCommands } from './commands/rules.ts';
import { Context, type Io } from './context.ts';
import { controlOf, readContexts } from './contexts.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { unreachableFix } from './fixes.ts';

const withoutControl: readonly string[] = ['gateway', 'control', 'topology', 'dev', 'context', 'client', 'complete'];

/** Name of the command right below the program. */
function topLevel(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null ? command.name() : topLevel(parent);
}

/** Runs one command line (without the program's name) and returns the exit code. Never throws. */
export async function runCommandLine(args: readonly string[], io: Io): Promise<number> {
  let exitCode: number = exitCodes.ok;
  let asksControl = false;
  const program = new Command('switchyard')
    .description('Moves live tables between databases behind a data gateway.')
    .addOption(new Option('-c, --control <address>', 'address of a control process').default('127.0.0.1:7201').env('SWITCHYARD_CONTROL'))
    .addOption(new Option('--context <name>', 'a named cluster; see: switchyard context').env('SWITCHYARD_CONTEXT'))
    .addOption(new Option('-o, --output <format>', 'how to print results').choices(['text', 'json']).default('text'))
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for what is possible)')
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) });
  const given = (): { control: string; context?: string; output: string } => program.opts();
  const context = new Context(io, { control: () => given().control, json: () => given().output === 'json' });
  const exit = (code: number): void => {
    exitCode = code;
  };
  program.hook('preAction', async (_, command) => {
    // Processes and completion ask no control; a person's settings are none of theirs.
    asksControl = !withoutControl.includes(topLevel(command));
    if (!asksControl) return;
    const control = program.getOptionValueSource('control');
    const named = program.getOptionValueSource('context');
    // The command line beats the environment, and an address a name.
    if (control === 'cli' || (control === 'env' && named !== 'cli')) return;
    const known = await readContexts(io);
    const name = given().context ?? known.current;
    if (name !== undefined && name !== '') program.setOptionValueWithSource('control', controlOf(known, name), 'config');
  });
  addProcessCommands(program, context, exit);
  addDevCommand(program, context, exit);
  addKeyspaceCommands(program, context);
  addRulesCommands(program, context);
  addMoveTablesCommands(program, context);
  addGatewayCommands(program, context);
  addDoctorCommand(program, context, exit);
  addClientCommands(program, context);
  addContextCommands(program, context);
  completion(program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (io.interrupted.aborted) return exitCodes.failed;
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const fix = asksControl && error instanceof SwitchyardError ? unreachableFix(error) : undefined;
    io.err(
      error instanceof SwitchyardError
        ? `switchyard: ${error.message}\n(${error.reason})\n${fix === undefined ? '' : `${fix}\n`}`
        : `switchyard: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return exitCodeOf(error);
  }
}
