import { Server } from '@grpc/grpc-js';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { DataService } from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { addService, listenGrpc, type RpcImplementation } from '../../../runtime/grpc-server.ts';

/** A gateway without stores that answers as it is told to: for answers that a gateway gives rarely, and never when a test wants them. */
export class ToldGateway implements Disposable {
  readonly address: string;
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** On a free port, or on this one. Methods that are not served here fail. */
  static async open(served: Partial<RpcImplementation<typeof DataService>>, port = 0): Promise<ToldGateway> {
    const unserved = async (): Promise<never> => {
      throw new SwitchyardError('INTERNAL', 'not part of this test');
    };
    const others = Object.fromEntries(DataService.methods.map(({ localName }) => [localName, unserved]));
    const server = new Server();
    addService(server, DataService, { ...others, ...served } as RpcImplementation<typeof DataService>, { clock: systemClock, defaultDeadlineMs: 5_000, onFault: () => {} });
    return new ToldGateway(server, `127.0.0.1:${await listenGrpc(server, { host: '127.0.0.1', port })}`);
  }

  [Symbol.dispose](): void {
    this.#server.forceShutdown();
  }
}
