import { expect, test } from '@jest/globals';
import { lineOf, type Scene, pictureOf } from './picture.ts';
import { Screen } from './screen.ts';

function screenOn(terminal: boolean): { readonly screen: Screen; readonly written: () => string } {
  let text = '';
  return { screen: new Screen({ write: (part) => (text += part), terminal }), written: () => text };
}

const eraseBelow = '\x1b[J';

/** What a terminal shows after all that was written to it: knows the two sequences that the screen uses. */
function shown(written: string): string[] {
  const [first = '', ...redrawn] = written.split(eraseBelow);
  let text = first;
  for (const next of redrawn) {
    const control = text.lastIndexOf('\x1b');
    const up = Number.parseInt(text.slice(control + 2), 10);
    const lines = text.slice(0, control).split('\n');
    text = `${lines
      .slice(0, lines.length - 1 - up)
      .map((line) => `${line}\n`)
      .join('')}${next}`;
  }
  return text.split('\n');
}

const scene: Scene = {
  act: 'copy',
  secondsIn: 12,
  writesPerSecond: 150,
  readsPerSecond: 149,
  errors: 0,
  slowestWriteMs: 12,
  slowestReadMs: 9,
  primary: 'old',
  held: false,
  stores: [
    { name: 'old', kind: 'PostgreSQL' },
    { name: 'new', kind: 'PostgreSQL' },
  ],
  rowsCopied: 50_000n,
  rowsTotal: 100_000n,
  lagMs: 3,
};

test('on a terminal the picture is drawn in place and lines stay above it', () => {
  const { screen, written } = screenOn(true);
  screen.draw(['one', 'two']);
  screen.say('said');
  screen.draw(['three', 'four']);
  screen.draw(['five', 'six']);
  expect(shown(written())).toEqual(['said', 'five', 'six', '']);
  screen.clear();
  expect(shown(written())).toEqual(['said', '']);
});

test('in a pipe there are only lines', () => {
  const { screen, written } = screenOn(false);
  screen.draw(['one']);
  screen.say('said');
  screen.clear();
  expect(written()).toBe('said\n');
});

test('the picture shows where the calls go, how far the copy is and when writes wait', () => {
  const picture = (change: Partial<Scene>): string => pictureOf({ ...scene, ...change }).join('\n');
  expect(picture({})).toMatch(/▶ +● old +PostgreSQL\n.*○ new/);
  expect(picture({})).toContain('50 %');
  expect(picture({ primary: 'new' })).toMatch(/○ old +PostgreSQL\n.*▶ +● new/);
  expect(picture({ held: true })).toContain('writes wait');
  expect(picture({ rowsCopied: 0n, rowsTotal: 0n })).not.toContain('copied');
});

test('one line says how far the copy is and how the services fare', () => {
  expect(lineOf(scene)).toMatch(/^ {2}… 50 % copied; services: 150 rows written and 149 read a second, 0 errors; slowest write 12.0 ms, read 9.00 ms$/);
  expect(lineOf({ ...scene, rowsTotal: 0n })).not.toContain('copied');
});
