/*
 * What clients did and were told, in the words of the history checker.
 */

export type State = string | number | null;
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface Call {
  readonly process: string;
  readonly invoked: number;
  readonly responded: number;
  readonly outcome: Outcome;
}

export type RowAction =
  | { readonly kind: 'read'; readonly saw: State }
  | { readonly kind: 'write'; readonly value: State }
  | { readonly kind: 'delete' }
  | { readonly kind: 'swap'; readonly expected: State; readonly value: State; readonly swapped?: boolean }
  | { readonly kind: 'increment'; readonly by: number; readonly saw?: number };

export type RowOperation = Call & { readonly key: string } & RowAction;
