import type { Problem } from '../../backends/backend.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { WorkflowDocument } from '../../core/workflow-document.ts';
import type { ControlDeps, Move, MoveStreams, Side, SideName } from '../move.ts';
import { ownerAndPlayer } from '../store-checks.ts';
import { unlikeness } from '../table-shapes.ts';
import { behind } from './catch-up.ts';
import { type Direction, directionTo, isState, sideView, viewText } from './direction.ts';
import { type Finding, finding } from './finding.ts';
import { lagFinding, reportedLagFinding } from './lag.ts';
import { rulesProblem } from './rules-change.ts';
import { abortError, asSwitchyardError, within } from '../time-limit.ts';

export interface PrecheckResult {
  readonly problems: readonly Finding[];
  /** Worth knowing, but no reason not to begin. */
  readonly warnings: readonly Problem[];
  /** Gateways that are alive, by id. */
  readonly gateways: readonly string[];
}

interface Check {
  readonly direction: Direction;
  readonly document: WorkflowDocument;
  /** Null: this process does not run them; what the document says is taken, and read again for a while. */
  readonly streams: MoveStreams | null;
  readonly deps: ControlDeps;
}

const CHECK_LIMIT_MS = 15_000;

/**
 * Everything that must be so before a hold may begin, checked at once; the dry run of a cutover is this list. Takes about a second (lag is watched for that long). Never fails but by its signal: a check that could not
 * be made is a problem.
 */
export async function precheck(move: Move, document: WorkflowDocument, to: SideName, streams: MoveStreams | null, deps: ControlDeps, signal: AbortSignal): Promise<PrecheckResult> {
  const check: Check = { direction: directionTo(move, to), document, streams, deps };
  const late = (): SwitchyardError => new SwitchyardError('DEADLINE_EXCEEDED', `the check took longer than ${CHECK_LIMIT_MS} ms`);
  const run = async (what: string, act: (check: Check, signal: AbortSignal) => Promise<readonly Finding[]>): Promise<readonly Finding[]> => {
    try {
      return await within(deps.clock, CHECK_LIMIT_MS, late, signal, (limited) => act(check, limited));
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      const failure = asSwitchyardError(error);
      return [finding(failure.reason, `${what} could not be checked: ${failure.message}`, 'look at the store or Consul that the message names, then try again')];
    }
  };
  const registered = gateways(check, signal);
  const problems = await Promise.all([
    run('the copy', async (c) => copyFinished(c)),
    run('the verification', async (c) => verified(c)),
    run('the fence rows', fenceRows),
    run('the rules', rules),
    run('open transactions', quiet),
    run('the tables', tables),
    run('the shapes of the tables', shapes),
    run('the sequences', sequences),
    run('the lag', lag),
  ]);
  const { refused, warnings, alive } = await registered;
  return { problems: [...problems.flat(), ...refused], warnings, gateways: alive };
}

function lag({ deps, direction, document, streams }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  if (streams !== null) return lagFinding(direction, document, streams, deps.clock, signal);
  const readAgain = async (limited: AbortSignal): Promise<WorkflowDocument> => (await deps.topology.workflow(document.name, limited))?.value ?? document;
  return reportedLagFinding(direction, document, readAgain, deps.clock, signal);
}

function copyFinished({ direction, document }: Check): readonly Finding[] {
  if (document.state !== 'running' && document.state !== 'switched') {
    return [finding('WORKFLOW_STATE', `the workflow is "${document.state}"`, 'wait until it is "running" or "switched"')];
  }
  if (direction.to.name === 'source') return [];
  const missing = direction.move.tables.filter((table) => document.progress.some((entry) => entry.table === table && !entry.done));
  return missing.map((table) => finding('WORKFLOW_STATE', 'its copy is not finished', 'wait for the copy', table));
}

function verified({ deps, direction, document }: Check): readonly Finding[] {
  const { verification, limits } = document;
  const fix = `run "switchyard movetables verify ${direction.move.name}"`;
  if (verification === undefined) return [finding('NOT_VERIFIED', 'the tables have never been compared', fix)];
  if (verification.error !== undefined) return [finding('NOT_VERIFIED', `the last verification failed: ${verification.error}`, fix)];
  if (verification.differences > 0) return [finding('NOT_VERIFIED', `the last verification found ${verification.differences} differences`, `find their cause, then ${fix}`)];
  const ageS = Math.round((deps.clock.now() - Date.parse(verification.finishedAt)) / 1_000);
  return ageS <= limits.verificationAgeS ? [] : [finding('NOT_VERIFIED', `the last verification is ${ageS} s old, older than ${limits.verificationAgeS} s`, fix)];
}

async function fenceRows({ direction }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  const { move, from, to } = direction;
  const [fromRows, toRows] = await Promise.all([from.owner.fenceRows(move.tables, signal), to.owner.fenceRows(move.tables, signal)]);
  const check = (side: SideName, state: 'OPEN' | 'CLOSED', rows: typeof fromRows): readonly Finding[] => {
    const view = sideView(move, side, rows);
    // Given back by an ending that the document does not know of: its message says what to do.
    const fix = `run "switchyard movetables ${view.kind === 'missing' ? 'status' : 'repair'} ${move.name}"`;
    return isState(view, state) ? [] : [finding('PRECHECK_FAILED', `the fence of "${move[side].keyspace}" is ${viewText(view)}, not ${state}`, fix)];
  };
  return [...check(from.name, 'OPEN', fromRows), ...check(to.name, 'CLOSED', toRows)];
}

async function rules({ deps, direction }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  const { move, from } = direction;
  const snapshot = await deps.topology.readRules(signal);
  if (snapshot.kind === 'missing') return [finding('RULES_MISSING', 'the rules do not exist', 'restore them from their history')];
  if (snapshot.kind === 'invalid') return [finding('RULES_INVALID', snapshot.message, 'correct the document or restore the last good one')];
  const problem = rulesProblem(snapshot.document, { move, primary: from.name, attempt: null, restore: true });
  return problem === null ? [] : [finding('TOPOLOGY_CONFLICT', problem, 'control puts it right within seconds; otherwise correct the rules')];
}

async function quiet({ direction, document }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  const problems = await direction.from.owner.checkQuiet(direction.move.tables, document.limits.transactionAgeMs, signal);
  return problems.map((problem) => ({ ...problem, reason: 'LOCK_TIMEOUT' }));
}

async function tables({ direction }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  const { move, from, to } = direction;
  const check = (side: Side, as: SideName): Promise<readonly Problem[]> => ownerAndPlayer(side, () => side.owner.checkTables(move.tables, as, signal), signal);
  const found = await Promise.all([check(from, 'source'), check(to, 'target')]);
  return found.flat().map((problem) => ({ ...problem, reason: 'PRECHECK_FAILED' }));
}

async function shapes({ direction }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  const { move, from, to } = direction;
  const compared = move.tables.map(async (table): Promise<readonly Finding[]> => {
    const [there, here] = await Promise.all([from.player.describe(table, signal), to.player.describe(table, signal)]);
    if (there === null || here === null)
      return [finding('SCHEMA_CHANGED', `does not exist in "${there === null ? from.keyspace : to.keyspace}"`, 'create it alike in both', table)];
    const difference = unlikeness(from, there, to, here);
    return difference === null ? [] : [finding('SCHEMA_CHANGED', `in "${to.keyspace}" it is not like that of "${from.keyspace}": ${difference}`, 'make both alike', table)];
  });
  return (await Promise.all(compared)).flat();
}

async function sequences({ direction }: Check, signal: AbortSignal): Promise<readonly Finding[]> {
  const { move, from, to } = direction;
  const [there, here] = await Promise.all([from.owner.sequences(move.tables, signal), to.owner.sequences(move.tables, signal)]);
  const present = here.map((state) => ({ ...state, value: there.find((other) => other.table === state.table && other.column === state.column)?.value ?? state.value }));
  return behind(there, present).map((name) => {
    const [table = '', column = ''] = name.split('.');
    return finding('PRECHECK_FAILED', `"${to.keyspace}" has no sequence for ${name}`, numberingFix(table, column));
  });
}

/** How a column is numbered by its store. */
export const numberingFix = (table: string, column: string): string =>
  `let the store number it too, in PostgreSQL: ALTER TABLE ${table} ALTER COLUMN ${column} ADD GENERATED BY DEFAULT AS IDENTITY; in MariaDB: AUTO_INCREMENT; in SQLite: INTEGER PRIMARY KEY AUTOINCREMENT`;

interface GatewaysFound {
  /** Gateways that are alive and that the store of the other side does not let in: each of their calls would fail after the switch. */
  readonly refused: readonly Finding[];
  readonly warnings: readonly Problem[];
  readonly alive: readonly string[];
}

/** A gateway that does not answer slows nothing down: the fence holds it. It is only said, as it is that gateways cannot be read. */
async function gateways({ deps, direction }: Check, signal: AbortSignal): Promise<GatewaysFound> {
  const late = (): SwitchyardError => new SwitchyardError('TOPOLOGY_UNAVAILABLE', 'the gateways could not be read in time');
  const warning = (message: string, fix: string): Problem => ({ table: null, message, fix });
  try {
    const found = await within(deps.clock, CHECK_LIMIT_MS, late, signal, (limited) => deps.topology.registrations(limited));
    const alive = found.filter((gateway) => !gateway.silent);
    const silent = found.filter((gateway) => gateway.silent).map((gateway) => warning(`gateway "${gateway.id}" is silent`, 'restart it or remove its registration'));
    const refusing = alive.flatMap(({ id, problems }) => problems.slice(0, 1).map(({ message }) => warning(`gateway "${id}" refuses rules: ${message}`, 'see its log')));
    const none = found.length === 0 ? [warning('no gateway is registered', 'start one, or check that it uses this cluster')] : [];
    const refused = alive.flatMap(({ id, storeProblems }) =>
      storeProblems
        .filter(({ keyspace, reason }) => keyspace === direction.to.keyspace && (reason === 'STORE_LOGIN_REFUSED' || reason === 'KEYSPACE_INVALID'))
        .map(({ message }) => finding('PRECHECK_FAILED', `gateway "${id}" would fail after the switch: ${message}`, 'a gateway looks again every 3 s')),
    );
    return { refused, warnings: [...silent, ...refusing, ...none], alive: alive.map(({ id }) => id) };
  } catch (error) {
    if (signal.aborted) return { refused: [], warnings: [], alive: [] };
    return { refused: [], warnings: [warning(`the gateways could not be read: ${asSwitchyardError(error).message}`, 'check Consul')], alive: [] };
  }
}
