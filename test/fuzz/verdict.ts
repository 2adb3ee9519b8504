import { type ErrorReason, errorCatalogue } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { Finding, messageOf } from './target.ts';

/** A class of errors that a part of the product promises beside SwitchyardErrors. */
type ErrorClass = abstract new (...args: never[]) => Error;

const unspecific: readonly ErrorReason[] = ['INTERNAL', 'STORE_FAILED'];

export const isReason = (text: string): text is ErrorReason => Object.hasOwn(errorCatalogue, text);

/** The reason of an error that bad input may lead to. Findings: an error without a reason, without a message, or one whose reason says that the fault is ours. `alsoFine` are reasons that are none elsewhere. */
export function reasonOf(error: unknown, promised: readonly ErrorClass[] = [], alsoFine: readonly ErrorReason[] = []): string {
  if (error instanceof Finding) throw error;
  if (promised.some((one) => error instanceof one)) return (error as Error).constructor.name;
  if (!(error instanceof SwitchyardError)) throw new Finding('answer', `an error without a reason: ${messageOf(error)}`, error);
  if (!isReason(error.reason)) throw new Finding('answer', `the reason ${error.reason} is not in the catalogue`, error);
  if (unspecific.includes(error.reason) && !alsoFine.includes(error.reason)) throw new Finding('answer', `bad input is answered with ${error.reason}: ${error.message}`, error);
  if (error.message.trim() === '') throw new Finding('answer', `${error.reason} says nothing`, error);
  return error.reason;
}

/** "value", or the reason of the error that `act` ends with. */
export async function outcomeOf(act: () => unknown, promised: readonly ErrorClass[] = [], alsoFine: readonly ErrorReason[] = []): Promise<string> {
  try {
    await act();
    return 'value';
  } catch (error) {
    return reasonOf(error, promised, alsoFine);
  }
}
