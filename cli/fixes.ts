import type { SwitchyardError } from '../core/switchyard-error.ts';

const fixes: Readonly<Record<string, string>> = {
  PEER_UNREACHABLE: 'start a control process (switchyard control --listen HOST:PORT), or say where one is: -c HOST:PORT, SWITCHYARD_CONTROL, switchyard context use NAME',
  TOPOLOGY_UNAVAILABLE:
    'control does not reach Consul: see its log, and whether Consul has a leader (consul operator raft list-peers); gateways go on with the rules that they have',
};

/** What helps where control, or Consul behind it, could not be asked; undefined where something else is the matter. */
export const unreachableFix = ({ reason }: SwitchyardError): string | undefined => fixes[reason];
