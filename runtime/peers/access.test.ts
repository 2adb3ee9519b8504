import { expect, test } from '@jest/globals';
import { PeerAccess } from './access.ts';

const env = { GATEWAY: 'secret-of-gateways', PLAYER: 'secret-of-players', OWNER: 'secret-of-owners', EMPTY: '', BLANK: 'two words' };
const by = (name: string, secret: string) => ({ get: (key: string) => (key === 'switchyard-peer' ? [name] : key === 'authorization' ? [secret] : []) });
const open = () => PeerAccess.open([{ name: 'new', player: 'env:PLAYER', owner: 'env:OWNER' }], { env, process: 'control process "c1"' });

test('a peer is known by its name and the secret of the identity, and by nothing else', async () => {
  const access = await open();
  expect(access.authorize(by('new', 'Bearer secret-of-players'), 'player')).toBe('new');
  expect(access.authorize(by('new', 'bearer secret-of-owners'), 'player', 'owner')).toBe('new');
  for (const facts of [by('new', 'Bearer secret-of-owners'), by('old', 'Bearer secret-of-players'), by('new', ''), by('', ''), by('new', 'Bearer '), { get: () => [] }]) {
    expect(() => access.authorize(facts, 'player')).toThrow(expect.objectContaining({ reason: 'STORE_LOGIN_REFUSED', message: expect.stringContaining('control process "c1"') }));
  }
  // An identity that no secret was given for.
  expect(() => access.authorize(by('new', 'Bearer '), 'gateway')).toThrow(expect.objectContaining({ reason: 'STORE_LOGIN_REFUSED' }));
});

test.each(['env:ABSENT', 'env:EMPTY', 'env:BLANK'])('a secret that could let anybody in, or be sent by nobody, is a fault of the configuration: %s', async (gateway) => {
  await expect(PeerAccess.open([{ name: 'new', gateway }], { env, process: 'gateway "g1"' })).rejects.toMatchObject({
    reason: 'KEYSPACE_INVALID',
    message: expect.not.stringContaining('two words'),
  });
});

test('without peers nobody is let in', async () => {
  const access = await PeerAccess.open([], { env, process: 'gateway "g1"' });
  expect(access.isEmpty).toBe(true);
  expect(() => access.authorize(by('', ''), 'gateway')).toThrow();
});
