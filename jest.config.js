const project = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' }],
  },
  modulePathIgnorePatterns: ['<rootDir>/.cache/', '<rootDir>/.stryker-tmp/'],
};
const ignored = ['/node_modules/', '/.cache/'];
/** Folders whose tests start servers and processes of their own. */
const real = '<rootDir>/test/(contract|e2e|integration|support)/';
/** Of these, the ones that wait more than they work and measure no time: two at once bear each other. */
const patient = '/test/(contract/|support/|integration/topo/|integration/gateway-(calls|http|requests|rows|transact)\\.)';

export default {
  projects: [
    // What can be computed alone: as many at once as there are processors.
    { ...project, displayName: 'pure', testPathIgnorePatterns: [...ignored, real], testMatch: ['**/*.test.ts'] },
    // Stores and topologies of their own.
    { ...project, displayName: 'contract', testPathIgnorePatterns: ignored, testRegex: `${patient}.*test\\.ts$` },
    // Some of these measure time: two at once would measure each other.
    { ...project, displayName: 'real', testPathIgnorePatterns: [...ignored, patient], testMatch: ['<rootDir>/test/{e2e,integration}/**/*.test.ts'] },
  ],
  maxWorkers: 1,
  testTimeout: 60_000,
};
