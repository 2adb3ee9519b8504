import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Control's metrics. Names end in their unit. */
export class ControlMetrics {
  readonly leading: Gauge<'workflow'>;
  readonly lag: Gauge<'workflow'>;
  readonly rowsCopied: Gauge<'workflow' | 'table'>;
  readonly cutovers: Counter<'workflow' | 'to' | 'outcome' | 'reason'>;
  readonly hold: Histogram<'to'>;
  readonly rulesVersion: Gauge;
  readonly rulesBroken: Gauge<'kind'>;
  readonly keyspaceUnprepared: Gauge<'keyspace'>;
  readonly requestIdsRemoved: Counter<'keyspace'>;
  readonly logKept: Gauge<'keyspace' | 'log'>;
  readonly logsDropped: Counter<'keyspace'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.leading = new Gauge({ name: 'switchyard_control_leading', help: '1 while this process runs the workflow', labelNames: ['workflow'], registers });
    this.lag = new Gauge({ name: 'switchyard_control_lag_seconds', help: 'How far the copy is behind the side that serves', labelNames: ['workflow'], registers });
    this.rowsCopied = new Gauge({ name: 'switchyard_control_rows_copied', help: 'Rows copied so far', labelNames: ['workflow', 'table'], registers });
    this.cutovers = new Counter({ name: 'switchyard_control_cutovers_total', help: 'Cutovers ended, by outcome', labelNames: ['workflow', 'to', 'outcome', 'reason'], registers });
    this.hold = new Histogram({
      name: 'switchyard_control_hold_seconds',
      help: 'How long writes were held by the last attempt of a cutover',
      labelNames: ['to'],
      buckets: [0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2],
      registers,
    });
    this.rulesVersion = new Gauge({ name: 'switchyard_control_rules_version', help: 'Version of the newest rules document seen', registers });
    this.rulesBroken = new Gauge({ name: 'switchyard_control_rules_broken', help: '1 while the rules key is missing or its document invalid', labelNames: ['kind'], registers });
    this.keyspaceUnprepared = new Gauge({
      name: 'switchyard_control_keyspace_unprepared',
      help: '1 while the store cannot be prepared: it refuses writes with a request id',
      labelNames: ['keyspace'],
      registers,
    });
    this.requestIdsRemoved = new Counter({
      name: 'switchyard_control_request_ids_removed_total',
      help: 'Records of request ids removed because their time was over',
      labelNames: ['keyspace'],
      registers,
    });
    this.logKept = new Gauge({
      name: 'switchyard_control_log_kept_bytes',
      help: 'What a store keeps because a log that Switchyard has begun there was not confirmed further',
      labelNames: ['keyspace', 'log'],
      registers,
    });
    this.logsDropped = new Counter({
      name: 'switchyard_control_logs_dropped_total',
      help: 'Logs dropped because they kept more than logs.dropMiB',
      labelNames: ['keyspace'],
      registers,
    });
  }
}
