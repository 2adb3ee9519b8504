declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** Version of the routing rules; grows by at least one with every document. */
export type RulesVersion = Branded<number, 'RulesVersion'>;
/** Epoch of a switch: one rising counter for the whole cluster. A store refuses an attempt that is not higher than what it holds. */
export type Attempt = Branded<number, 'Attempt'>;
/** Opaque place in a source's history. Only the backend that made it can read it. */
export type Position = Branded<string, 'Position'>;
/** Token of a stream's present player; raised by every player that takes the stream over and by `open`. */
export type StreamToken = Branded<number, 'StreamToken'>;

export const rulesVersion = (value: number): RulesVersion => value as RulesVersion;
export const attempt = (value: number): Attempt => value as Attempt;
export const position = (value: string): Position => value as Position;
export const streamToken = (value: number): StreamToken => value as StreamToken;
