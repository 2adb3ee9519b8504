import { SwitchyardError } from '../core/switchyard-error.ts';

/** What a caller is told when its signal has aborted: the signal's reason where that is a SwitchyardError, else CANCELLED. */
export const cancelled = ({ reason }: AbortSignal): SwitchyardError =>
  reason instanceof SwitchyardError ? reason : new SwitchyardError('CANCELLED', 'the call was cancelled', { cause: reason });
