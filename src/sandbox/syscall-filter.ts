import { WeaverError } from '../errors.ts';

// A program of classic BPF, as seccomp(2) has it: code, jumps for true and false, operand.
type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

const load = 0x20;
const equals = 0x15;
const isAtLeast = 0x35;
const hasBits = 0x45;
const answer = 0x06;
const allow = 0x7fff0000;
const killProcess = 0x80000000;
const failWith = 0x00050000;
const notPermitted = 1;
const notImplemented = 38;
// Where struct seccomp_data holds them.
const callNumber = 0;
const architecture = 4;
const firstArgument = 16;
const cloneThread = 0x00010000;
const x32Bit = 0x40000000;

interface Architecture {
  audit: number;
  clone: number;
  clone3: number;
  forbidden: readonly number[];
}

/** The same on all: io_uring, mounts of the new kind, handles of processes. */
const common = [425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 447];

/**
 * What no program has use for, and by which one could make processes, reach other machines and kernels through sockets,
 * hold memory that nobody counts, or look for holes in the kernel: fork, vfork, execveat, ptrace, process_vm_readv and
 * _writev, kcmp, unshare, setns, mount, umount2, pivot_root, chroot, open_by_handle_at, add_key, request_key, keyctl, bpf,
 * perf_event_open, userfaultfd, socket, memfd_create, shmget, msgget, semget, mq_open, fanotify_init, inotify_init1.
 */
const architectures: Readonly<Record<string, Architecture>> = {
  x64: {
    audit: 0xc000003e,
    clone: 56,
    clone3: 435,
    forbidden: [
      ...[57, 58, 322, 101, 310, 311, 312, 272, 308, 165, 166, 155, 161, 304, 248, 249, 250, 321, 298, 323],
      ...[41, 319, 29, 68, 64, 240, 300, 294, 253, ...common],
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    clone: 220,
    clone3: 435,
    forbidden: [
      ...[281, 117, 270, 271, 272, 97, 268, 40, 39, 41, 51, 265, 217, 218, 219, 280, 241, 282],
      ...[198, 279, 194, 186, 190, 180, 262, 26, ...common],
    ],
  },
};

/**
 * The system calls that Python may make, for `bwrap --seccomp`: threads and no processes, no sockets but pairs of its own.
 * @throws WeaverError `not_supported` where the numbers of this processor's calls are not known.
 */
export function syscallFilter(arch: string = process.arch): Buffer {
  const known = architectures[arch];
  if (!known) throw new WeaverError('not_supported', `The system calls of ${arch} are not known; x64 and arm64 are.`);
  return encode(program(known));
}

const fail = (error: number): Instruction => [answer, 0, 0, failWith | error];

const program = ({ audit, clone, clone3, forbidden }: Architecture): Instruction[] => [
  [load, 0, 0, architecture],
  [equals, 1, 0, audit],
  [answer, 0, 0, killProcess],
  [load, 0, 0, callNumber],
  // The calls of x32 have other numbers for the same.
  [isAtLeast, 0, 1, x32Bit],
  fail(notPermitted),
  ...forbidden.flatMap((call): Instruction[] => [[equals, 0, 1, call], fail(notPermitted)]),
  // Its flags are in memory, where a filter cannot look; without it the C library takes clone.
  [equals, 0, 1, clone3],
  fail(notImplemented),
  [equals, 0, 3, clone],
  [load, 0, 0, firstArgument],
  [hasBits, 1, 0, cloneThread],
  fail(notPermitted),
  [answer, 0, 0, allow],
];

function encode(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(instructions.length * 8);
  for (const [i, [code, ifTrue, ifFalse, operand]] of instructions.entries()) {
    bytes.writeUInt16LE(code, i * 8);
    bytes.writeUInt8(ifTrue, i * 8 + 2);
    bytes.writeUInt8(ifFalse, i * 8 + 3);
    bytes.writeUInt32LE(operand >>> 0, i * 8 + 4);
  }
  return bytes;
}
