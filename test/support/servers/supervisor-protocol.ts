// What a process that starts servers and the supervisor of one server say to each other over the IPC channel.

/** Given to the supervisor as its one argument, in JSON. */
export interface SupervisorSpec {
  /** The supervisor creates `<parent>/<prefix>XXXXXX` and removes it with everything in it when it ends. */
  readonly parentDirectory: string;
  readonly prefix: string;
  /** Owner of the directory and of the server's process. */
  readonly user?: UnixUser;
  /** Sent to the server when it has to go because its starter is gone. */
  readonly killSignal: NodeJS.Signals;
  /** Size of a disk of its own, in memory, that the directory is. Left out: the directory is on the parent's. */
  readonly diskMiB?: number;
}

export interface UnixUser {
  readonly uid: number;
  readonly gid: number;
}

export type SupervisorRequest =
  | { readonly kind: 'start'; readonly command: string; readonly args: readonly string[]; readonly logFile: string }
  /** Kill the server if it still runs, remove the directory, end. */
  | { readonly kind: 'end' };

export type SupervisorReport =
  | { readonly kind: 'ready'; readonly directory: string }
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: NodeJS.Signals | null };
