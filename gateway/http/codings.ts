import { promisify } from 'node:util';
import { type BrotliOptions, brotliCompress, brotliDecompress, constants, gunzip, gzip, type ZlibOptions } from 'node:zlib';

/* How bodies may be packed on their way: quick settings, for an answer is packed for one caller. */

const quickLevel = 1;
const packGzip = promisify<Buffer, ZlibOptions, Buffer>(gzip);
const packBrotli = promisify<Buffer, BrotliOptions, Buffer>(brotliCompress);
const unpackGzip = promisify<Buffer, ZlibOptions, Buffer>(gunzip);
const unpackBrotli = promisify<Buffer, BrotliOptions, Buffer>(brotliDecompress);

interface Packing {
  readonly pack: (bytes: Buffer) => Promise<Buffer>;
  /** Rejects with ERR_BUFFER_TOO_LARGE beyond `most`, with something else where it is malformed. */
  readonly unpack: (bytes: Buffer, most: number) => Promise<Buffer>;
}

/** The best first. */
const packings = {
  br: {
    pack: (bytes) => packBrotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: quickLevel, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
    unpack: (bytes, most) => unpackBrotli(bytes, { maxOutputLength: most }),
  },
  gzip: { pack: (bytes) => packGzip(bytes, { level: quickLevel }), unpack: (bytes, most) => unpackGzip(bytes, { maxOutputLength: most }) },
} satisfies Readonly<Record<string, Packing>>;

export type Coding = keyof typeof packings;
export const codings = Object.keys(packings) as readonly Coding[];
export const isCoding = (name: string): name is Coding => Object.hasOwn(packings, name);
export const packingOf = (coding: Coding): Packing => packings[coding];

/** The coding that an Accept-Encoding header likes best, of those that we like as well the one that packs better; null: none. */
export function acceptedCoding(acceptEncoding = ''): Coding | null {
  const weights = new Map(
    acceptEncoding.split(',').map((part) => {
      const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
      return [name, Number(parameters.find((text) => text.startsWith('q='))?.slice(2) ?? 1)] as const;
    }),
  );
  const weightOf = (coding: Coding): number => weights.get(coding) ?? weights.get('*') ?? 0;
  const [best] = codings.filter((coding) => weightOf(coding) > 0).sort((a, b) => weightOf(b) - weightOf(a));
  return best ?? null;
}
