import { expect, test } from '@jest/globals';
import { PacketFramer } from './packet-framer.ts';

function packets(bodies: readonly Buffer[], first = 1): Buffer {
  return Buffer.concat(
    bodies.flatMap((body, i) => {
      const header = Buffer.alloc(4);
      header.writeUIntLE(body.length, 0, 3);
      header.writeUInt8((first + i) & 0xff, 3);
      return [header, body];
    }),
  );
}

function framed(bytes: Buffer, chunk: number): readonly string[] {
  const seen: string[] = [];
  const framer = new PacketFramer(1, (packet) => seen.push(packet.toString('latin1')));
  for (let at = 0; at < bytes.length; at += chunk) framer.push(bytes.subarray(at, at + chunk));
  return seen;
}

test('packets are found however they arrive', () => {
  const bodies = ['', 'a', 'bc', 'd'.repeat(1_000)].map((text) => Buffer.from(text));
  const bytes = packets(bodies);
  for (const chunk of [1, 2, 3, 4, 5, 7, 100, bytes.length]) expect(framed(bytes, chunk)).toEqual(bodies.map(String));
});

test('numbers go round', () => {
  const bodies = Array.from({ length: 600 }, (_, i) => Buffer.from(String(i)));
  expect(framed(packets(bodies), 50)).toEqual(bodies.map(String));
});

test('one that is longer than a packet can be comes whole, also where its end is empty', () => {
  for (const rest of ['', 'end']) {
    const seen: number[] = [];
    const framer = new PacketFramer(1, (packet) => seen.push(packet.length));
    framer.push(packets([Buffer.alloc(0xff_ffff), Buffer.alloc(0xff_ffff), Buffer.from(rest), Buffer.from('next')]));
    expect(seen).toEqual([2 * 0xff_ffff + rest.length, 4]);
  }
});

test('a missing packet is noticed', () => {
  const framer = new PacketFramer(1, () => {});
  expect(() => framer.push(packets([Buffer.from('a')], 2))).toThrow(expect.objectContaining({ reason: 'STORE_UNAVAILABLE' }));
});
