import type { Element, State } from './history.ts';

/* How states, lists and times are written for people. */

const mostElements = 8;

export function showState(state: State | undefined): string {
  return state === null ? 'no row' : JSON.stringify(state);
}

/** Of a long list its end. */
export function showList(elements: readonly Element[]): string {
  const beginning = elements.length > mostElements ? [`… ${elements.length - mostElements} more`] : [];
  return `[${[...beginning, ...elements.slice(-mostElements).map((element) => JSON.stringify(element))].join(', ')}]`;
}

export function showTime(time: number): string {
  return Number.isFinite(time) ? String(Math.round(time * 1_000) / 1_000) : 'never';
}
