import { writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { JobRun } from './job-run.ts';
import { type FromChild, type FromThread, monotonicMs, type ToChild, toLine } from './protocol.ts';
import { compileEngine, createVm, type Image, loadImage } from './vm.ts';

// A worker thread: holds images of programs and runs jobs in engines made from them. It hears the child's main thread,
// which watches `clock` (when the slice under way began, and how long it may last), and speaks to the server itself.

const { clock, share, pipe } = workerData as { clock: SharedArrayBuffer; share: number; pipe: number };
/** What all threads of the child together may keep of programs' images, and hold in engines of jobs under way. */
const keptImageBytes = Math.max(2 ** 27 * share, 2 ** 24);
const heldBytes = Math.max(2 ** 30 * share, 2 ** 27);
const slice = new Float64Array(clock);
const wasmFile = join(dirname(fileURLToPath(import.meta.url)), 'quickjs.wasm');
const images = new Map<string, Image>();
const jobs = new Map<number, JobRun>();
const loading = new Map<string, Promise<Image | undefined>>();
let imageBytes = 0;

const tellMain = (message: FromThread): void => parentPort?.postMessage(message);

// By itself: over the main thread an answer takes 0.05 ms longer. Writing waits for the server and is no computing.
function say(message: FromChild): void {
  const [since = 0] = slice;
  slice[0] = 0;
  const bytes = Buffer.from(toLine(message));
  const startedAt = monotonicMs();
  for (let at = 0; at < bytes.length; ) at += writeSync(pipe, bytes, at);
  if (since > 0) slice[0] = since + monotonicMs() - startedAt;
}

// The main thread knows of a call before it is heard, and of an end after it: it begins a job again only when that had
// called nothing, and gives none up that has ended.
function post(message: FromChild): void {
  if (message.t === 'need') return tellMain(message);
  if (message.t === 'call') tellMain({ t: 'called', id: message.id, call: message.call });
  say(message);
  if (message.t === 'end') tellMain({ t: 'ended', id: message.id });
}

/** What a job has around it. The slice's marks are for the watchdog on the other thread. */
const host = {
  post,
  beginSlice(job: number, budgetMs: number): void {
    slice[1] = budgetMs;
    slice[2] = job;
    slice[0] = monotonicMs();
  },
  endSlice(): void {
    slice[0] = 0;
  },
  isStopped: (job: number): boolean => slice[3] === job,
  isCrowded(): boolean {
    let bytes = 0;
    for (const job of jobs.values()) bytes += job.memoryBytes;
    return bytes > heldBytes && jobs.size > 1;
  },
  forget: (id: number): void => void jobs.delete(id),
};

parentPort?.on('message', (message: ToChild) => {
  if (message.t === 'run') void start(message);
  else if (message.t === 'answer') jobs.get(message.id)?.answer(message);
  else jobs.get(message.id)?.stop();
});
tellMain({ t: 'ready' });

async function start(message: Extract<ToChild, { t: 'run' }>): Promise<void> {
  const { id, hash, text, limits } = message;
  const key = `${hash} ${limits.memoryMb}`;
  if (text === undefined && !images.has(key) && !loading.has(key)) return tellMain({ t: 'need', id });
  const job = new JobRun(message, host);
  jobs.set(id, job);
  try {
    const image = images.get(key) ?? (await loading.get(key));
    if (image) {
      keepImage(key, image);
      await job.begin(image);
    } else if (text !== undefined) {
      const loaded = await loadOnce(key, job, text, limits.memoryMb);
      if (loaded) await job.begin(loaded);
    } else job.giveUp();
  } catch (error) {
    job.fail(error);
  }
}

// Calls of a program that is being loaded wait for it; if that fails, each finds out for itself why.
async function loadOnce(key: string, job: JobRun, program: string, memoryMb: number): Promise<Image | undefined> {
  const made = load(job, program, memoryMb);
  loading.set(
    key,
    made.catch(() => undefined),
  );
  try {
    const image = await made;
    if (image) keepImage(key, image);
    return image;
  } finally {
    loading.delete(key);
  }
}

async function load(job: JobRun, program: string, memoryMb: number): Promise<Image | undefined> {
  const module = await compileEngine(wasmFile, memoryMb);
  const vm = await createVm(module, memoryMb, job.say, job.isOver);
  return job.load(vm, () => loadImage(vm, program));
}

// The one used last stands last; the others go, oldest first, when there are too many.
function keepImage(key: string, image: Image): void {
  dropImage(key);
  images.set(key, image);
  imageBytes += image.bytes;
  for (const oldest of images.keys()) {
    if (imageBytes <= keptImageBytes) return;
    if (oldest !== key) dropImage(oldest);
  }
}

function dropImage(key: string): void {
  imageBytes -= images.get(key)?.bytes ?? 0;
  images.delete(key);
}
