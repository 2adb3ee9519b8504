import { z } from 'zod';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Parses "host:port" or "[v6]:port". The host must be named: nothing listens on all interfaces by accident. */
export const hostPortSchema = z.string().transform((text, context): HostPort => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) {
    context.addIssue({ code: 'custom', message: `must be "host:port", such as "127.0.0.1:7101"; got "${text}"` });
    return z.NEVER;
  }
  return { host, port };
});

export const formatHostPort = ({ host, port }: HostPort): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
