import { Command } from 'commander';
import { kebab, settings } from '../config.ts';
import { version } from '../package.ts';
import { addBackup } from './backup.ts';
import { addCall } from './call.ts';
import { addSettingFlags } from './command.ts';
import { addConfig } from './config.ts';
import { addDemo } from './demo.ts';
import { addDoctor } from './doctor.ts';
import { addExport } from './export.ts';
import { addInstall } from './install.ts';
import { addLint } from './lint.ts';
import { addList } from './list.ts';
import { addReplay } from './replay.ts';
import { addReview } from './review.ts';
import { addRun } from './run.ts';
import { addSave } from './save.ts';
import { addSearch } from './search.ts';
import { addSecret } from './secret.ts';
import { addServe } from './serve.ts';
import { addShow } from './show.ts';
import { addToken } from './token.ts';
import { addVersions } from './versions.ts';
import { addWorker } from './worker.ts';

// Before the command and after it, however deep.
function takeSettings(command: Command): void {
  addSettingFlags(command, (name) => settings.shape[name].description ?? '', kebab);
  command.hook('preSubcommand', (_, next) => takeSettings(next));
}

/** The whole command line, in the order of its help. */
export function createProgram(env: NodeJS.ProcessEnv): Command {
  const program = new Command('toolweaver')
    .description('An MCP server whose tool list grows while agents work.')
    .version(version)
    .configureHelp({ showGlobalOptions: false })
    .showSuggestionAfterError()
    .exitOverride()
    // Else the program's own --version would be taken for that of `replay`.
    .enablePositionalOptions();
  takeSettings(program);
  for (const add of [
    addServe,
    addWorker,
    addInstall,
    addDemo,
    addList,
    addSearch,
    addShow,
    addCall,
    addSave,
    addReview,
    addVersions,
    addRun,
    addReplay,
    addToken,
    addSecret,
    addLint,
    addExport,
    addBackup,
    addConfig,
    addDoctor,
  ]) {
    add(program, env);
  }
  return program;
}
