const zero = 48;

/** The digits without the zeros at their end, in time that grows with their number only: a pattern such as /0+$/ begins anew at each zero of a long row of them. */
export function withoutTrailingZeros(digits: string): string {
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === zero) end -= 1;
  return digits.slice(0, end);
}
