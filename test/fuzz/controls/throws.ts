import { planted } from './planted.ts';

/** A TypeError where a reason belongs. */
export const target = planted('throws', () => (undefined as unknown as { readonly length: number }).length);
