import type { Recording } from '../../src/recordings/recording.ts';
import type { NewRecording } from '../../src/recordings/table.ts';
import { listRecordings, openRecording } from '../../src/recordings/table.ts';
import { createKeyring, type Keyring } from '../../src/secrets/keyring.ts';
import { type Replayed, replay } from '../../src/skills/replay.ts';
import { type TestApp, temporaryFolder, testApp } from './app.ts';
import { lenient } from './drafts.ts';

type Options = NonNullable<Parameters<typeof testApp>[0]>;

export interface RecordingApp extends TestApp {
  ring: Keyring;
  /** The run ids of what was recorded of a tool, newest first. */
  recorded(tool: string): Promise<string[]>;
  opened(run: string): Promise<Recording>;
  replayed(run: string, version?: string): Promise<Replayed>;
}

/** A ToolWeaver with a home of its own that records the latest ten runs, unless settings say otherwise. */
export async function recordingApp({ settings, ...options }: Options = {}): Promise<RecordingApp> {
  const home = temporaryFolder();
  const app = await testApp({ ...options, settings: { ...lenient.settings, home, recordRuns: 10, ...settings } });
  const ring = createKeyring(app.config);
  const open = (run: string) => openRecording(app.database, ring, 'local', run, Date.now());
  return {
    ...app,
    ring,
    async recorded(tool) {
      await app.recorder?.flush();
      const all = await listRecordings(app.database.read, 'local', { limit: 1_000 }, Date.now());
      return all.filter((one) => one.tool === tool).map(({ run }) => run);
    },
    opened: async (run) => (await open(run)).recording,
    replayed: async (run, version) => replay(app, await open(run), { version, signal: new AbortController().signal }),
  };
}

/** A recording of a run, as the table takes it. */
export const newRecording = (run: string, fields: Partial<NewRecording> = {}): NewRecording => ({
  of: {
    ...{ tenant: 'local', run, callId: `call of ${run}`, tool: 'double', version: '1.0.0', seal: 'a seal' },
    ...{ engine: 'quickjs', principal: 'agent:test' },
  },
  recording: { input: '{"x":1}', now: 1, seed: 2, calls: [], ending: { value: `value of ${run}` } },
  at: 1_000,
  expiresAt: 2_000,
  ...fields,
});
