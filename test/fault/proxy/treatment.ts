/** Which way bytes go: from the side that connected, or back to it. */
export type Way = 'forth' | 'back';

/**
 * What happens on a link. pass: nothing · cut: its connections are reset, and new ones at once · delay: every piece comes later, in order · reset: any piece may be the last, and then comes in part only · hold: nothing passes this way (or either), and all of it
 * does when that is over, as in a network that comes back · half-open: one end of each connection is gone and the other is not told, then or ever; whoever connects meanwhile speaks to nobody for ever.
 */
export type Treatment =
  | { readonly kind: 'pass' }
  | { readonly kind: 'cut' }
  | { readonly kind: 'delay'; readonly leastMs: number; readonly mostMs: number }
  /** `oneIn`: of so many pieces one is cut. */
  | { readonly kind: 'reset'; readonly oneIn: number }
  | { readonly kind: 'hold'; readonly way: Way | 'both' }
  | { readonly kind: 'half-open'; readonly gone: 'near' | 'far' };

export const pass: Treatment = { kind: 'pass' };
