/** What decides what a run does: when any of it changes, what was recorded does not count any more. */
export const codePaths = [
  'backends',
  'client',
  'control',
  'core',
  'gateway',
  'gen',
  'runtime',
  'topo',
  'test/bench',
  'test/checker',
  'test/fault',
  'test/support',
  'package-lock.json',
] as const;
