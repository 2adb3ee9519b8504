import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { Server } from '@grpc/grpc-js';
import { exitCodes } from '../../../cli/exit-codes.ts';
import { runCommandLine } from '../../../cli/program.ts';
import { type ErrorReason, errorCatalogue } from '../../../core/error-catalogue.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { GatewayService } from '../../../gen/switchyard/control/v1/gateways_pb.ts';
import { KeyspaceService } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { RulesService } from '../../../gen/switchyard/control/v1/rules_pb.ts';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { addService, listenGrpc } from '../../../runtime/grpc-server.ts';
import { strayJson } from '../inputs/random-json.ts';
import { randomMessage } from '../inputs/random-message.ts';
import { nastyTexts } from '../mutate.ts';
import { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';

const services: readonly DescService[] = [GatewayService, KeyspaceService, RulesService, WorkflowService];
const mostCalls = 20;
const mostPauses = 5;
const commandLines = [
  'rules get',
  '-o json rules get',
  'rules history -n 5',
  'rules diff 3 4',
  'rules diff -f -',
  'rules apply -f - --reason x',
  'rules apply -f - --dry-run',
  'rules edit',
  'rules rollback 3',
  'rules lint',
  'rules lint -f -',
  'keyspace apply -f -',
  'keyspace get',
  'keyspace get shop',
  '-o json keyspace get',
  'keyspace grants shop --tables a,b',
  'gateways',
  'gateways remove g1',
  'movetables create move --source old --target new --tables orders',
  'movetables create move --source old --target new --tables a,b --lag-ms 5 --no-wait',
  'movetables status',
  'movetables status move',
  'movetables status --watch',
  '-o json movetables status move --watch',
  'movetables verify move',
  'movetables switch-traffic move --dry-run',
  'movetables switch-traffic move',
  'movetables reverse-traffic move',
  'movetables complete move',
  'movetables cancel move --keep-data',
  'movetables repair move',
  'context list',
  'context set a --control localhost:1',
  'context use a',
  'context remove constructor',
  '--context constructor rules get',
  '--context __proto__ rules get',
  'doctor',
  'gateway --listen x',
  'dev',
  '--version',
  'help rules',
  '',
];
const rulesJson = { version: '3', defaultKeyspace: 'old', tables: { orders: { primary: 'old', names: ['old.orders'] } }, keyspaces: {} };
const keyspaceYaml = 'name: shop\nshards:\n  - kind: sqlite\n    path: /tmp/shop.db\n---\nname: other\nshards: []\n';
const contextsYaml = 'current: a\ncontexts:\n  a: {control: "localhost:1"}\n';

/** Command lines, files and settings of people, and whatever answers as control. An input is: 4 bytes that say what control answers, the arguments, one a line, and behind a NUL the text of every file. */
export const target: FuzzTarget = {
  name: 'cli',
  words: ['\n', '\0', '--', '-o', 'json', '--watch', '--help', '-f', '-', '--control', '--context', 'constructor', '__proto__', '--dry-run', ...nastyTexts.slice(0, 10)],
  changedPercent: 35,
  generate: (random) => {
    const words = random
      .pick(commandLines)
      .split(' ')
      .map((word) => (random.chance(4) ? random.pick(nastyTexts) : word));
    const file = random.pick([strayJson(random, rulesJson, 4), JSON.stringify(rulesJson), keyspaceYaml, contextsYaml, '']);
    return Buffer.concat([random.bytes(4), Buffer.from(words.join('\n')), Buffer.from([0]), Buffer.from(file)]);
  },
  open: async () => {
    const control = new StrayControl();
    const server = new Server();
    for (const service of services) addService(server, service, control.implementationOf(service) as never, { clock: systemClock, defaultDeadlineMs: 20_000, onFault: () => {} });
    const address = `127.0.0.1:${await listenGrpc(server, { host: '127.0.0.1', port: 0 })}`;
    return {
      run: async (input) => {
        const random = new Random(input.length >= 4 ? input.readUInt32LE(0) : 0);
        const text = input.subarray(4).toString('utf8');
        const end = text.indexOf('\0');
        const args = (end < 0 ? text : text.slice(0, end)).split('\n');
        // The reader of YAML takes a time that grows with the square of what is wrong: a person can press Ctrl-C.
        const file = end < 0 ? '' : text.slice(end + 1, end + 1 + 4_000);
        // Completion is a library's own command, which writes to the terminal itself.
        if (args.includes('complete') && !args.includes('movetables')) return 'left out';
        const interrupted = new AbortController();
        control.begin(random, () => interrupted.abort());
        let [out, err, pauses] = ['', '', 0];
        const withControl = random.chance(80) && !args.includes('--context') ? ['--control', address, ...args] : args;
        const code = await runCommandLine(withControl, {
          out: (more) => {
            out += more;
          },
          err: (more) => {
            err += more;
          },
          person: 'fuzz@here',
          terminal: false,
          readFile: async () => file,
          edit: async (before) => ({ text: random.chance(50) ? file : before, path: '/x', keep: async () => {} }),
          settings: {
            path: '/settings',
            read: async () => (random.chance(50) ? null : file === '' ? `current: a\ncontexts:\n  a: {control: "${address}"}\n` : file),
            write: async () => {},
          },
          runProcess: async () => 0,
          pause: async () => {
            pauses += 1;
            if (pauses >= mostPauses) interrupted.abort();
          },
          interrupted: interrupted.signal,
        });
        must((Object.values(exitCodes) as number[]).includes(code), `exit code ${code}`);
        must(!/\n\s+at .*:\d+:\d+/.test(err), `a stack for a person: ${err}`);
        must(!/^\(INTERNAL\)$/m.test(err) || err.includes('control said so'), `a fault of ours: ${err}`);
        must(code === 0 || interrupted.signal.aborted || `${out}${err}`.trim() !== '', `exit code ${code} without a word`);
        return `exit ${code}`;
      },
      [Symbol.asyncDispose]: async () => server.forceShutdown(),
    };
  },
};

/** Answers every call with any message of its type, or any reason. */
class StrayControl {
  #random = new Random(0);
  #calls = 0;
  #interrupt = (): void => {};

  begin(random: Random, interrupt: () => void): void {
    this.#random = random;
    this.#calls = 0;
    this.#interrupt = interrupt;
  }

  implementationOf(service: DescService): Record<string, unknown> {
    return Object.fromEntries(
      service.methods.map((method) => [method.localName, method.methodKind === 'server_streaming' ? () => this.#stream(method) : async () => this.#answer(method)]),
    );
  }

  #answer({ output }: DescMethod): unknown {
    this.#calls += 1;
    if (this.#calls >= mostCalls) this.#interrupt();
    if (this.#random.chance(15) || this.#calls > mostCalls * 2) throw new SwitchyardError(this.#random.pick(Object.keys(errorCatalogue) as ErrorReason[]), 'control said so');
    return randomMessage(output, this.#random, () => undefined);
  }

  async *#stream(method: DescMethod): AsyncGenerator<unknown> {
    for (let count = this.#random.below(4); count > 0; count -= 1) yield this.#answer(method);
  }
}
