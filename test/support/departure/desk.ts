import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { KeyspaceSchema } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { findFreePorts } from '../servers/free-port.ts';
import { waitUntil } from '../servers/wait-until.ts';

const example = resolve('examples/leaving-a-service');

/** The ticket desk of the examples: a REST service in a process of its own. Its table is called as the test likes, for a database that several desks are left for. */
export class Desk implements AsyncDisposable {
  readonly table: string;
  readonly rows: number;
  readonly address: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(table: string, rows: number, address: string, folder: string, process: ChildProcess) {
    this.table = table;
    this.rows = rows;
    this.address = address;
    this.#folder = folder;
    this.#process = process;
  }

  static async start(table: string, rows: number): Promise<Desk> {
    const folder = await mkdtemp(join(tmpdir(), 'switchyard-desk-'));
    const [port = 0] = await findFreePorts(1);
    await writeFile(join(folder, 'mapping.yaml'), (await readFile(join(example, 'mapping.yaml'), 'utf8')).replace('  ticket:', `  ${table}:`));
    const desk = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(example, 'ticket-desk.ts'), String(port), join(folder, 'tickets.db')], { stdio: 'ignore' });
    const started = new Desk(table, rows, `127.0.0.1:${port}`, folder, desk);
    await waitUntil('the desk', { limitMs: 20_000 }, async () => await started.ask('GET', '/tickets?max=1').catch(() => undefined));
    for (let number = 1; number <= rows; number += 1)
      await started.ask('POST', '/tickets', { title: `ticket ${number}`, minutes: number % 7, fee: number % 3 === 0 ? null : `${number}.50` });
    return started;
  }

  get keyspace(): MessageInitShape<typeof KeyspaceSchema> {
    return { name: `desk_${this.table}`, shards: [{ kind: 'http', gateways: [this.address], mapping: join(this.#folder, 'mapping.yaml') }] };
  }

  /** Past the gateways. */
  async ask(method: string, path: string, body?: object): Promise<Response> {
    return await fetch(`http://${this.address}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  }

  async ticket(no: number): Promise<Record<string, unknown>> {
    return (await (await this.ask('GET', `/tickets/${no}`)).json()) as Record<string, unknown>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
