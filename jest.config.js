const project = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' }],
  },
  testMatch: ['**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.cache/', '<rootDir>/.stryker-tmp/'],
};
const ignored = ['/node_modules/', '/.cache/'];
/** Folders whose tests start servers and processes of their own. */
const real = '<rootDir>/test/(contract|e2e|integration|support)/';

export default {
  projects: [
    // What can be computed alone: as many at once as there are processors.
    { ...project, displayName: 'pure', testPathIgnorePatterns: [...ignored, real] },
    // Stores and topologies of their own, which wait more than they work: two at once bear each other.
    { ...project, displayName: 'contract', testPathIgnorePatterns: ignored, testMatch: ['<rootDir>/test/contract/**/*.test.ts'] },
    // Some of these measure time: two at once would measure each other.
    { ...project, displayName: 'real', testPathIgnorePatterns: ignored, testMatch: ['<rootDir>/test/{e2e,integration,support}/**/*.test.ts'] },
  ],
  maxWorkers: 1,
  testTimeout: 60_000,
};
