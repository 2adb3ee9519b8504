import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ClusterProcess } from '../support/cluster/cluster-process.ts';
import { controlConfig, gatewayConfig, processEnv } from '../support/cluster/process-config.ts';
import { OtlpReceiver } from '../support/otlp/otlp-receiver.ts';
import { type ConsulServer, startConsul } from '../support/servers/consul.ts';
import { findFreePorts } from '../support/servers/free-port.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* Without an OTLP endpoint no process loads the telemetry SDK. The modules that a real process loads are written down by a hook; with an endpoint the same hook sees the SDK, so that it cannot be blind. */

const root = resolve(import.meta.dirname, '../..');
const hook = resolve(import.meta.dirname, '../support/otlp/record-modules.ts');
const sdk = /node_modules\/@opentelemetry\/(sdk-|exporter-|otlp-)/;

let consul: ConsulServer;
let receiver: OtlpReceiver;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-modules-'));
  [consul, receiver] = await Promise.all([startConsul(), OtlpReceiver.start()]);
}, 60_000);

afterAll(async () => {
  await consul?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Every module that the process has loaded when it says that it listens and when it has ended. */
async function modulesOf(kind: 'gateway' | 'control', telemetry: boolean): Promise<readonly string[]> {
  const name = `${kind}-${telemetry ? 'traced' : 'untraced'}`;
  const [port = 0] = await findFreePorts(1);
  const address = `127.0.0.1:${port}`;
  const file = join(directory, name);
  const common = kind === 'gateway' ? gatewayConfig(name, address, null, consul.address) : controlConfig(name, address, consul.address);
  const config = { ...common, ...(telemetry ? { otlpEndpoint: receiver.endpoint } : {}) };
  const env = { ...processEnv(kind), LOADED_MODULES_FILE: file, NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${hook}` };
  await using process = await ClusterProcess.start({ name, main: join(root, kind, 'main.ts'), config, address, env });
  await waitUntil(`${name} listening`, { limitMs: 30_000, everyMs: 50, explain: () => process.logTail() }, async () => {
    await process.assertRunning();
    return /listens/.test(await process.logTail()) ? true : undefined;
  });
  await process.terminate();
  return (await readFile(file, 'utf8')).trim().split('\n');
}

test.each(['gateway', 'control'] as const)(
  '%s: the SDK is loaded with an endpoint, and only then',
  async (kind) => {
    const [untraced, traced] = await Promise.all([modulesOf(kind, false), modulesOf(kind, true)]);
    expect(traced.filter((url) => sdk.test(url)).length).toBeGreaterThan(10);
    expect(untraced.filter((url) => sdk.test(url))).toEqual([]);
    expect(untraced.some((url) => /node_modules\/@opentelemetry\/api\//.test(url))).toBe(true);
  },
  60_000,
);
