import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { GatewayService } from '../../gen/switchyard/control/v1/gateways_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import type { ControlDeps } from '../move.ts';
import { encodeTime } from './encode-rules.ts';

/** The gateways that have registered. */
export function gatewaysService({ topology }: ControlDeps): RpcImplementation<typeof GatewayService> {
  return {
    async listGateways(_, { signal }) {
      const registrations = await topology.registrations(signal);
      const gateways = registrations.map((registration) => {
        const updatedAt = encodeTime(registration.updatedAt);
        return {
          id: registration.id,
          address: registration.address,
          appliedVersion: BigInt(registration.appliedVersion),
          silent: registration.silent,
          ...(updatedAt === undefined ? {} : { updatedAt }),
          problems: registration.problems.map((problem) => ({ version: BigInt(problem.version), table: problem.table ?? '', reason: problem.reason, message: problem.message })),
          storeProblems: registration.storeProblems,
        };
      });
      return { gateways: gateways.toSorted((a, b) => (a.id < b.id ? -1 : 1)) };
    },

    async removeGateway({ id }, { signal }) {
      const registration = (await topology.registrations(signal)).find((entry) => entry.id === id);
      if (registration === undefined) throw new SwitchyardError('GATEWAY_UNKNOWN', `no gateway "${id}" has registered`);
      if (!registration.silent) throw new SwitchyardError('GATEWAY_ALIVE', `gateway "${id}" is alive: stop it first`);
      await topology.removeRegistration(id, signal);
      return {};
    },
  };
}
