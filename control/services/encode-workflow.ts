import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FenceRow } from '../../core/fence.ts';
import type { CutoverRecord, Verification, Verifying, WorkflowDocument, WorkflowRequest, WorkflowState as State } from '../../core/workflow-document.ts';
import {
  type CopyPaceSchema,
  type CutoverSchema,
  type VerificationSchema,
  type VerifyingSchema,
  type WorkflowSchema,
  WorkflowState,
} from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { encodeSide, encodeTime } from './encode-rules.ts';

const states = {
  created: WorkflowState.CREATED,
  copying: WorkflowState.COPYING,
  running: WorkflowState.RUNNING,
  switched: WorkflowState.SWITCHED,
  completed: WorkflowState.COMPLETED,
  cancelled: WorkflowState.CANCELLED,
  failed: WorkflowState.FAILED,
} as const satisfies Record<State, WorkflowState>;

/** A fence row with the keyspace that it lies in. */
export type PlacedFenceRow = FenceRow & { readonly keyspace: string };

export function encodeWorkflow(document: WorkflowDocument, fences: readonly PlacedFenceRow[] = []): MessageInitShape<typeof WorkflowSchema> {
  const createdAt = encodeTime(document.createdAt);
  return {
    name: document.name,
    source: document.source,
    target: document.target,
    tables: document.tables,
    limits: document.limits,
    state: states[document.state],
    message: document.message,
    progress: document.progress.map(({ table, rowsCopied, rowsTotal, bytesCopied, done }) => ({
      table,
      rowsCopied: BigInt(rowsCopied),
      rowsTotal: BigInt(rowsTotal),
      bytesCopied: BigInt(bytesCopied),
      done,
    })),
    ...(document.pace === undefined ? {} : { pace: encodePace(document.pace) }),
    ...(document.lagMs === undefined ? {} : { lagMs: document.lagMs }),
    ...(document.verification === undefined ? {} : { verification: encodeVerification(document.verification) }),
    ...(document.request?.kind === 'verify' ? { verifying: encodeVerifying(document.request, document.verifying) } : {}),
    cutovers: document.cutovers.map(encodeCutover),
    runner: document.runner?.id ?? '',
    ...(createdAt === undefined ? {} : { createdAt }),
    fences: fences.map(({ keyspace, table, state, attempt, peer, workflow }) => ({ keyspace, table, state, attempt: BigInt(attempt), peer, workflow: workflow ?? '' })),
  };
}

function encodePace({ rowsPerSecond, bytesPerSecond, secondsLeft }: NonNullable<WorkflowDocument['pace']>): MessageInitShape<typeof CopyPaceSchema> {
  return { rowsPerSecond: BigInt(rowsPerSecond), bytesPerSecond: BigInt(bytesPerSecond), ...(secondsLeft === undefined ? {} : { secondsLeft: BigInt(secondsLeft) }) };
}

/** `begun`: how far it has come, of this one or of one that it has taken the place of. */
function encodeVerifying({ id, at, repair }: WorkflowRequest, begun: Verifying | undefined): MessageInitShape<typeof VerifyingSchema> {
  const { startedAt, tables } = begun?.request === id ? begun : { startedAt: at, tables: [] };
  const time = encodeTime(startedAt);
  return {
    repair,
    ...(time === undefined ? {} : { startedAt: time }),
    tables: tables.map(({ table, rows, differences, repaired, done }) => ({
      table,
      rowsCompared: BigInt(rows),
      differences: BigInt(differences),
      repaired: BigInt(repaired),
      done,
    })),
  };
}

function encodeVerification({ finishedAt, rowsCompared, differences, repaired, sample, durationMs, error }: Verification): MessageInitShape<typeof VerificationSchema> {
  const time = encodeTime(finishedAt);
  return {
    ...(time === undefined ? {} : { finishedAt: time }),
    rowsCompared: BigInt(rowsCompared),
    differences: BigInt(differences),
    repaired: BigInt(repaired),
    sample: sample.map((difference) => ({ ...difference })),
    durationMs: BigInt(Math.round(durationMs)),
    error: error ?? '',
  };
}

function encodeCutover(record: CutoverRecord): MessageInitShape<typeof CutoverSchema> {
  const startedAt = encodeTime(record.startedAt);
  return {
    attempt: BigInt(record.attempt),
    to: encodeSide(record.to),
    outcome: record.outcome,
    reason: record.reason ?? '',
    message: record.message ?? '',
    steps: record.steps.map(({ name, startMs, durationMs, detail }) => ({ name, startMs, durationMs, detail: detail ?? '' })),
    holdMs: record.holdMs,
    ...(startedAt === undefined ? {} : { startedAt }),
    traceId: record.traceId ?? '',
    attempts: record.attempts,
    aborted: (record.aborted ?? []).map(({ attempt, reason, message }) => ({ attempt: BigInt(attempt), reason, message })),
  };
}
