import { SwitchyardError } from '../../../core/switchyard-error.ts';

/** Reason of the error that something ends with; "none" for a value. Other errors are passed on. */
export async function reasonOf(promise: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof promise === 'function' ? promise() : promise);
    return 'none';
  } catch (error) {
    if (error instanceof SwitchyardError) return error.reason;
    throw error;
  }
}
