import { create, type DescField, type DescMessage, type MessageInitShape, ScalarType, toBinary } from '@bufbuild/protobuf';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';

const deepest = 6;
const integers = [0, 1, -1, 2, 7, 127, 128, 1000, 1001, 2 ** 31 - 1, -(2 ** 31)];
const bigs = [0n, 1n, -1n, 86_400_000_000n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
const doubles = [0, -0, 1, 0.1, 1e308, 5e-324, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5];

/** How a field is filled that has a meaning; undefined: by its type alone. */
export type Hint = (field: DescField, random: Random, depth: number) => unknown;

/** A message of this type with some of its fields set at random, by what `hint` knows of them. */
export function randomMessage<D extends DescMessage>(desc: D, random: Random, hint: Hint, depth = 0): MessageInitShape<D> {
  const init: Record<string, unknown> = {};
  for (const member of desc.members) {
    if (member.kind === 'oneof') {
      if (!random.chance(90)) continue;
      const field = random.pick(member.fields);
      const value = randomField(field, random, hint, depth);
      if (value !== undefined) init[member.localName] = { case: field.localName, value };
    } else if (random.chance(depth === 0 ? 70 : 50)) {
      const value = randomField(member, random, hint, depth);
      if (value !== undefined) init[member.localName] = value;
    }
  }
  return init as MessageInitShape<D>;
}

/** The same as the bytes that go over the wire. */
export function randomBytesOf(desc: DescMessage, random: Random, hint: Hint): Buffer {
  return Buffer.from(toBinary(desc, create(desc, randomMessage(desc, random, hint))));
}

function randomField(field: DescField, random: Random, hint: Hint, depth: number): unknown {
  const hinted = hint(field, random, depth);
  if (hinted !== undefined) return hinted;
  switch (field.fieldKind) {
    case 'scalar':
      return randomScalar(field.scalar, random);
    case 'enum':
      return random.chance(90) ? random.pick(field.enum.values).number : random.pick(integers);
    case 'message':
      // Another time than of these years would be no message at all.
      if (field.message.typeName === 'google.protobuf.Timestamp') return { seconds: random.pick([0n, 1n, 1_700_000_000n, 253_402_300_799n]), nanos: random.pick([0, 999_999_999]) };
      return depth >= deepest ? undefined : randomMessage(field.message, random, hint, depth + 1);
    case 'list': {
      const length = random.size(40);
      if (field.listKind === 'message') return depth >= deepest ? [] : Array.from({ length: Math.min(length, 5) }, () => randomMessage(field.message, random, hint, depth + 1));
      if (field.listKind === 'enum') return Array.from({ length }, () => random.pick(field.enum.values).number);
      return Array.from({ length }, () => randomScalar(field.scalar, random));
    }
    case 'map':
      return Object.fromEntries(
        Array.from({ length: random.size(10) }, () => [
          random.pick(nastyTexts).toWellFormed(),
          field.mapKind === 'message' ? randomMessage(field.message, random, hint, depth + 1) : field.mapKind === 'scalar' ? randomScalar(field.scalar, random) : 0,
        ]),
      );
  }
}

function randomScalar(type: ScalarType, random: Random): unknown {
  switch (type) {
    case ScalarType.STRING:
      return random.pick(nastyTexts).toWellFormed();
    case ScalarType.BYTES:
      return new Uint8Array(random.bytes(random.size(200)));
    case ScalarType.BOOL:
      return random.chance(50);
    case ScalarType.DOUBLE:
      return random.pick(doubles);
    case ScalarType.FLOAT:
      return Math.fround(random.pick(doubles));
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return random.pick(bigs);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return BigInt.asUintN(64, random.pick(bigs));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return random.pick(integers) >>> 0;
    default:
      return random.pick(integers);
  }
}
