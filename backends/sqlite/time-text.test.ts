import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isDateText, microsOfTime, microsOfTimestamp, timestampText, timeText } from './time-text.ts';

const FIRST = -62_167_219_200_000_000n;
const LAST = 253_402_300_799_999_999n;
const micros = fc.bigInt({ min: FIRST, max: LAST });

test('every microsecond of the years 0000 to 9999 has one text, in the order of time, that is read back', () => {
  fc.assert(
    fc.property(micros, micros, fc.boolean(), (a, b, zone) => {
      const [left, right] = [timestampText(a, zone) ?? '', timestampText(b, zone) ?? ''];
      expect([microsOfTimestamp(left, zone), microsOfTimestamp(left, !zone)]).toEqual([a, null]);
      expect(left < right).toBe(a < b);
      expect(isDateText(left.slice(0, 10))).toBe(true);
      // SQLite's date functions and everybody else's read it.
      expect(Date.parse(`${left.slice(0, 10)}T${left.slice(11, 23)}Z`)).toBe(Number((a - (((a % 1_000n) + 1_000n) % 1_000n)) / 1_000n));
    }),
  );
  expect([timestampText(FIRST, false), timestampText(LAST, true)]).toEqual(['0000-01-01 00:00:00.000000', '9999-12-31 23:59:59.999999Z']);
  expect([timestampText(FIRST - 1n, false), timestampText(LAST + 1n, true)]).toEqual([null, null]);
});

test('every microsecond of a day has one text that is read back', () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 86_400_000_000n }), (time) => expect(microsOfTime(timeText(time) ?? '')).toBe(time)));
});

test.each(['24:00:00.000001', '12:60:00.000000', '12:00:60.000000', '12:00:00', '12:00:00.0', '1:00:00.000000'])('%s is no time', (text) => expect(microsOfTime(text)).toBeNull());
test.each(['2024-02-30 00:00:00.000000', '2024-01-01 24:00:00.000000', '2024-01-01T00:00:00.000000', '2024-01-01 00:00:00.000000+00', ''])('%s is no timestamp', (text) =>
  expect(microsOfTimestamp(text, false)).toBeNull(),
);
test.each(['2023-02-29', '2024-13-01', '2024-00-10', '2024-1-1', '10000-01-01', 'Infinity'])('%s is no date', (text) => expect(isDateText(text)).toBe(false));
