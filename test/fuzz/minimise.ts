const zero = Buffer.from('0');

/** A smaller input that still fails: parts are taken out, ever smaller ones, then bytes made plain, until nothing goes any more or `tries` are used up. */
export async function minimise(input: Buffer, fails: (candidate: Buffer) => Promise<boolean>, tries: number): Promise<Buffer> {
  let best = input;
  let left = tries;
  const attempt = async (candidate: Buffer): Promise<boolean> => {
    left -= 1;
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let size = Math.ceil(best.length / 2); size >= 1 && left > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.length && left > 0; ) {
      if (!(await attempt(Buffer.concat([best.subarray(0, at), best.subarray(at + size)])))) at += size;
    }
  }
  for (let at = 0; at < best.length && left > 0; at += 1) {
    if (best[at] !== zero[0]) await attempt(Buffer.concat([best.subarray(0, at), zero, best.subarray(at + 1)]));
  }
  return best;
}
