import { expect, test } from '@jest/globals';
import { abortSteps, afterSteps, cutoverSteps, holdSteps, prepareSteps } from './steps.ts';

test('the steps are listed in the order of the protocol, each once', () => {
  expect(Object.keys(cutoverSteps)).toEqual([...prepareSteps, ...holdSteps, ...afterSteps, ...abortSteps]);
});

test('the source is fenced before the decision, readable at the target before it is closed, closed before the target opens', () => {
  const order = ['fence', 'catch-up', 'commit', 'ready', 'close', 'open', 'flip'].map((name) => Object.keys(cutoverSteps).indexOf(name));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});
