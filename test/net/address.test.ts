import { describe, expect, it } from 'vitest';
import { addressKind } from '../../src/net/address.ts';

describe('an address', () => {
  it.each([
    ...[
      '1.1.1.1',
      '8.8.8.8',
      '93.184.215.14',
      '172.15.0.1',
      '172.32.0.1',
      '100.63.0.1',
      '100.128.0.1',
      '223.255.255.254',
    ],
    ...['2606:4700:4700::1111', '2a00:1450:4001:800::200e', '::ffff:8.8.8.8', '::ffff:808:808', '64:ff9b::8.8.8.8'],
  ])('%s is public', (address) => {
    expect(addressKind(address)).toBe('public');
  });

  it.each([
    ...['127.0.0.1', '127.255.255.254', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.1.1'],
    ...['100.64.0.1', '100.127.255.255', '::1', '0:0:0:0:0:0:0:1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fdff::1'],
    ...['fec0::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:10.0.0.1', '64:ff9b::10.0.0.1', '64:ff9b::7f00:1'],
  ])('%s is private', (address) => {
    expect(addressKind(address)).toBe('private');
  });

  it.each([
    ...['169.254.169.254', '169.254.170.2', '100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:ec2::254'],
    ...['::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '64:ff9b::169.254.169.254', 'fe80::a9fe:a9fe%1'],
  ])('%s, where a cloud tells its secrets, is for nobody', (address) => {
    expect(addressKind(address)).toBe('never');
  });

  it.each([
    ...[
      '0.0.0.0',
      '0.1.2.3',
      '224.0.0.1',
      '239.255.255.255',
      '240.0.0.1',
      '255.255.255.255',
      '192.0.2.1',
      '198.18.0.1',
    ],
    ...['198.51.100.1', '203.0.113.1', '192.0.0.1', '192.88.99.1', '::', 'ff02::1', '2001:db8::1', '2001::1', '100::1'],
    ...['2002:7f00:1::', '2002:a9fe:a9fe::1', '64:ff9b:1::7f00:1', '::7f00:1', '::127.0.0.1', '::ffff:0:127.0.0.1'],
    ...['4000::1', '2606:4700:4700::1111%eth0', '5f00::1', '3fff::1', '2001:20::1', '1::1'],
  ])('%s leads nowhere that a request may go', (address) => {
    expect(addressKind(address)).toBe('never');
  });

  it.each([
    '',
    'localhost',
    '127.1',
    '0x7f000001',
    '2130706433',
    '0177.0.0.1',
    '127.0.0.1 ',
    '[::1]',
    '1.2.3.4.5',
    '１２７.0.0.1',
  ])('%j is none, in whatever notation a name server should give it', (text) => {
    expect(addressKind(text)).toBe('never');
  });
});
