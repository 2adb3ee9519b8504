const mostCompared = 128;

/** The name that a typing error explains: it differs in no more than a third of its characters, whether they are upper or lower case aside. Null: none does. */
export function closestName(name: string, names: readonly string[]): string | null {
  const given = name.toLowerCase().slice(0, mostCompared);
  let best: { readonly name: string; readonly distance: number } | null = null;
  for (const candidate of names) {
    const distance = editDistance(given, candidate.toLowerCase());
    const isClose = distance <= Math.floor(Math.max(given.length, candidate.length) / 3);
    if (isClose && (best === null || distance < best.distance)) best = { name: candidate, distance };
  }
  return best?.name ?? null;
}

/** Characters to add, to leave out, to replace, or to swap with their neighbours. */
function editDistance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, isSwapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

/** What a message adds about the name that may have been meant. */
export const didYouMean = (closest: string | null): string => (closest === null ? '' : `; did you mean "${closest}"?`);
