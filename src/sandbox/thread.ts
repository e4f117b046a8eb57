import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { JobRun } from './job-run.ts';
import type { FromChild, ToChild } from './protocol.ts';
import { compileEngine, createVm, type Image, loadImage } from './vm.ts';

// A worker thread: holds images of programs and runs jobs in engines made from them. It speaks with the child's main
// thread, which watches `clock`: when the slice under way began, and how long it may last.

const keptImages = 64;
const { clock } = workerData as { clock: SharedArrayBuffer };
const slice = new Float64Array(clock);
const wasmFile = join(dirname(fileURLToPath(import.meta.url)), 'quickjs.wasm');
const images = new Map<string, Image>();
const programs = new Map<string, string>();
const jobs = new Map<number, JobRun>();
const loading = new Map<string, Promise<Image | undefined>>();

const post = (message: FromChild): void => parentPort?.postMessage(message);

/** Marks the time in which the engine computes, for the watchdog on the other thread. */
const watch = {
  begin(job: number, budgetMs: number): void {
    slice[1] = budgetMs;
    slice[2] = job;
    slice[0] = performance.timeOrigin + performance.now();
  },
  end(): void {
    slice[0] = 0;
  },
};

parentPort?.on('message', (message: ToChild) => {
  if (message.t === 'run') void start(message);
  else if (message.t === 'answer') jobs.get(message.id)?.answer(message);
  else jobs.get(message.id)?.stop();
});
post({ t: 'ready' });

async function start(message: Extract<ToChild, { t: 'run' }>): Promise<void> {
  const { id, hash, text, limits } = message;
  const key = `${hash} ${limits.memoryMb}`;
  if (text !== undefined) remember(programs, hash, text, keptImages * 4);
  const program = programs.get(hash);
  if (program === undefined) return post({ t: 'need', id });
  const job = new JobRun(message, post, watch, () => jobs.delete(id));
  jobs.set(id, job);
  try {
    const image = images.get(key) ?? (await loading.get(key)) ?? (await loadOnce(key, job, program, limits.memoryMb));
    if (!image) return;
    remember(images, key, image, keptImages);
    await job.begin(image);
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
    return await made;
  } finally {
    loading.delete(key);
  }
}

async function load(job: JobRun, program: string, memoryMb: number): Promise<Image | undefined> {
  const module = await compileEngine(wasmFile, memoryMb);
  const vm = await createVm(module, memoryMb, job.say, job.isOver);
  return job.load(() => loadImage(module, memoryMb, vm, program));
}

function remember<T>(map: Map<string, T>, key: string, value: T, kept: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > kept) map.delete(map.keys().next().value ?? key);
}
