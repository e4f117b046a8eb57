import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { promisify } from 'node:util';
import { WeaverError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { openPython, type PythonPlace } from './python.ts';
import { defaultLimits, type Sandbox } from './sandbox.ts';
import { syscallFilter } from './syscall-filter.ts';

const least = [3, 9] as const;
const probeMs = 10_000;
const run = promisify(execFile);

/**
 * Finds python3 (the one that the setting names, or on the PATH) and bubblewrap, and runs a program there that tries to get
 * out: only where it cannot may any other program run.
 * @throws WeaverError `not_supported` with the reason.
 */
export async function findPython(wanted: string | undefined): Promise<PythonPlace> {
  if (process.platform !== 'linux') throw missing(`on ${process.platform} nothing confines it`);
  syscallFilter();
  const bubblewrap = ['/usr/bin/bwrap', '/bin/bwrap', '/usr/local/bin/bwrap'].find(existsSync);
  if (bubblewrap === undefined) throw missing('bubblewrap is not installed');
  const python = await about(wanted ?? 'python3');
  const walls = [...(await namespaces(bubblewrap)), ...readable(python)];
  await tryToStart(bubblewrap, walls, python.file);
  const place = { file: python.file, version: python.version.join('.'), bubblewrap, walls };
  await tryToGetOut(place);
  return place;
}

const missing = (reason: string, cause?: unknown): WeaverError =>
  new WeaverError('not_supported', `The engine python cannot be used: ${reason}.`, {
    hint: `Install bubblewrap and Python ${least.join('.')} or later, on a Linux that lets users make namespaces; or write it in JavaScript.`,
    ...(cause !== undefined && { cause }),
  });

interface Interpreter {
  file: string;
  version: number[];
  /** Where its libraries are. */
  prefixes: string[];
}

const question =
  'import json, os, sys; print(json.dumps([os.path.realpath(sys.executable), sys.version_info[:3], [sys.base_prefix, sys.base_exec_prefix]]))';

async function about(command: string): Promise<Interpreter> {
  let said: [string, number[], string[]];
  try {
    const { stdout } = await run(command, ['-I', '-S', '-c', question], { timeout: probeMs });
    said = JSON.parse(stdout);
  } catch (cause) {
    throw missing(`${command} does not start`, cause);
  }
  const [file, version, prefixes] = said;
  const [major = 0, minor = 0] = version;
  const isNewEnough = major === least[0] && minor >= least[1];
  if (!isNewEnough) throw missing(`${file} is ${version.join('.')}, not ${least.join('.')} or later`);
  return { file, version, prefixes };
}

async function namespaces(bubblewrap: string): Promise<string[]> {
  const { stdout } = await run(bubblewrap, ['--help'], { timeout: probeMs }).catch((cause: unknown) => {
    throw missing(`${bubblewrap} does not start`, cause);
  });
  return [
    ...['--unshare-all', '--unshare-user', '--die-with-parent', '--new-session', '--as-pid-1', '--clearenv'],
    ...['--cap-drop', 'ALL', '--uid', '65534', '--gid', '65534', '--hostname', 'sandbox'],
    // Older ones have it not; there the filter of system calls alone forbids new ones.
    ...(stdout.includes('--disable-userns') ? ['--disable-userns'] : []),
  ];
}

/** Of this machine: the shared libraries, the interpreter and its own. No programs, no /etc, no /proc, no /dev. */
function readable({ file, prefixes }: Interpreter): string[] {
  const libraries = ['/usr/lib', '/usr/lib64', '/lib', '/lib64'];
  const own = prefixes.flatMap((prefix) => [`${prefix}/lib`, `${prefix}/lib64`]);
  return [
    ...[...new Set([...libraries, ...own])].flatMap(mount),
    ...['--ro-bind', file, file],
    // By it the libraries of /usr/local are found.
    ...['--ro-bind-try', '/etc/ld.so.cache', '/etc/ld.so.cache'],
  ];
}

function mount(folder: string): string[] {
  if (!existsSync(folder)) return [];
  if (lstatSync(folder).isSymbolicLink()) return ['--symlink', readlinkSync(folder), folder];
  return ['--ro-bind', folder, folder];
}

// What bubblewrap says tells why it cannot, which a real start does not.
async function tryToStart(bubblewrap: string, walls: readonly string[], file: string): Promise<void> {
  const args = [...walls, '--', file, '-s', '-S', '-c', 'pass'];
  await run(bubblewrap, args, { timeout: probeMs, env: {} }).catch((cause: Error & { stderr?: string }) => {
    const said = cause.stderr?.trim().split('\n').at(-1) || cause.message.split('\n')[0];
    throw missing(`bubblewrap does not start it: ${said}`, cause);
  });
}

const escapes = `
import os, socket

def run(input, ctx):
    reached = []
    def attempt(what, work):
        try:
            if work() is not False:
                reached.append(what)
        except OSError:
            pass
    attempt('files', lambda: open(input['file']).close())
    attempt('files', lambda: os.stat('/etc/passwd'))
    attempt('processes', lambda: os.kill(input['pid'], 0) if input['pid'] != os.getpid() else False)
    attempt('processes', lambda: os.stat('/proc'))
    attempt('new processes', lambda: os.fork() or os._exit(0))
    attempt('writing', lambda: open('/here', 'w').close())
    attempt('the network', lambda: socket.create_connection(('127.0.0.1', input['port']), 2).close())
    if os.environ:
        reached.append('the environment')
    return sorted(set(reached))
`;

async function tryToGetOut(place: PythonPlace): Promise<void> {
  const listener = await listen();
  const sandbox = openPython(place);
  let connections = 0;
  listener.on('connection', (socket) => {
    connections++;
    socket.destroy();
  });
  try {
    const reached = await getOut(sandbox, listener);
    if (connections > 0) reached.push('the network');
    if (reached.length > 0) throw missing(`bubblewrap does not confine it: it reaches ${reached.join(', ')}`);
  } finally {
    listener.close();
    await sandbox.close();
  }
}

async function listen(): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return server;
}

async function getOut(sandbox: Sandbox, listener: Server): Promise<string[]> {
  const address = listener.address();
  const result = await sandbox.run({
    id: 'probe',
    owner: 'probe',
    program: { hash: randomUUID(), text: escapes },
    input: {
      file: `${packageRoot}/package.json`,
      pid: process.pid,
      port: typeof address === 'object' && address?.port,
    },
    limits: { ...defaultLimits, wallMs: probeMs, cpuMs: probeMs },
    now: 0,
    seed: 1,
    callTool: async () => null,
    signal: new AbortController().signal,
  });
  if (!result.ok) throw missing(`the program that tries it failed: ${result.error.message}`, result.error);
  if (Array.isArray(result.value)) return result.value.map(String);
  throw missing('the program that tries it answered something else');
}
