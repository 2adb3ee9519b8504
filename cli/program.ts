import { Command, CommanderError, Option } from 'commander';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { addGatewayCommands } from './commands/gateways.ts';
import { addKeyspaceCommands } from './commands/keyspace.ts';
import { addMoveTablesCommands } from './commands/movetables.ts';
import { addProcessCommands } from './commands/processes.ts';
import { addRulesCommands } from './commands/rules.ts';
import { Context, type Io } from './context.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';

/** Runs one command line (without the program's name) and returns the exit code. Never throws. */
export async function runCommandLine(args: readonly string[], io: Io): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = new Command('switchyard')
    .description('Moves live tables between databases behind a data gateway.')
    .addOption(new Option('-c, --control <address>', 'address of a control process').default('127.0.0.1:7201').env('SWITCHYARD_CONTROL'))
    .addOption(new Option('-o, --output <format>', 'how to print results').choices(['text', 'json']).default('text'))
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for what is possible)')
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) });
  const given = (): { control: string; output: string } => program.opts();
  const context = new Context(io, { control: () => given().control, json: () => given().output === 'json' });
  addProcessCommands(program, context, (code) => {
    exitCode = code;
  });
  addKeyspaceCommands(program, context);
  addRulesCommands(program, context);
  addMoveTablesCommands(program, context);
  addGatewayCommands(program, context);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    io.err(
      error instanceof SwitchyardError
        ? `switchyard: ${error.message}\n(${error.reason})\n`
        : `switchyard: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return exitCodeOf(error);
  }
}
