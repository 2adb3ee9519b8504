/** A number of 64 bits as one of ours. Throws where it would become another one. */
export function wholeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`the number ${value} is beyond all that are counted here`);
  return number;
}
