/** docs/boards.md, "Adding a board", followed to the letter: its commands, files and edits are this test's input. */

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import ts from 'typescript';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { requireQemu } from '../../emulator/qemu.js';

/** A fenced block of the guide: what its language says is done with it. */
interface Block {
  readonly language: string;
  readonly text: string;
  /** Line of docs/boards.md, from 1. */
  readonly line: number;
  /** What the sentence before it names at its end: "In `my-board.json`:". */
  readonly file: string | undefined;
}

/** Blocks under a heading of docs/boards.md, up to the next one. */
function blocksOf(heading: string): Block[] {
  const lines = readFileSync(join(PACKAGE_ROOT, 'docs/boards.md'), 'utf8').split('\n');
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`docs/boards.md has no heading "${heading}"`);
  const blocks: Block[] = [];
  let sentence = '';
  for (let i = start + 1; i < lines.length && !/^##/.test(lines[i]); i++) {
    const fence = /^( *)```(\w+)$/.exec(lines[i]);
    if (fence === null) {
      if (lines[i].trim() !== '') sentence = lines[i];
      continue;
    }
    const [, indent, language] = fence;
    const end = lines.indexOf(`${indent}\`\`\``, i);
    if (end < 0) throw new Error(`docs/boards.md:${i + 1}: the block does not end`);
    const text = lines.slice(i + 1, end).map((line) => `${line.slice(indent.length)}\n`);
    blocks.push({ language, text: text.join(''), line: i + 1, file: /`([^`]+)`:$/.exec(sentence)?.[1] });
    i = end;
  }
  return blocks;
}

/** Applies an edit, whose parts are separated by `@@`: what is taken away and what stays must be there, once. */
function edited(content: string, diff: string): string {
  return diff.split('@@\n').reduce((before, part) => {
    const lines = part.match(/.*\n/g)!;
    const side = (sign: string): string =>
      lines
        .filter((line) => line.startsWith(' ') || line.startsWith(sign))
        .map((line) => line.slice(1))
        .join('');
    expect(before.split(side('-')).length - 1, `places that are\n${side('-')}`).to.equal(1);
    return before.replace(side('-'), () => side('+'));
  }, content);
}

/** What commands say on stdout. npx finds the command in the folder: it asks no registry, and compiles nothing anew. */
async function runCommands(commands: string, folder: string): Promise<string> {
  const env = {
    ...process.env,
    npm_config_cache: join(folder, 'npm-cache'),
    npm_config_ignore_scripts: 'true',
    npm_config_offline: 'true',
    npm_config_update_notifier: 'false',
  };
  const { stdout } = await promisify(execFile)('sh', ['-ec', commands], { cwd: folder, env });
  return stdout;
}

/** Does what the blocks under a heading say, in a folder. */
async function follow(heading: string, folder: string): Promise<void> {
  let said = '';
  let compared = 0;
  for (const { language, text, line, file } of blocksOf(heading)) {
    const where = `docs/boards.md:${line}`;
    if (language === 'sh') {
      said = await runCommands(text, folder);
    } else if (language === 'text') {
      expect(said.endsWith(`\n${text}`), `${where}, after\n${said}`).to.equal(true);
      compared++;
    } else {
      if (file === undefined) throw new Error(`${where}: the sentence before the block names no file`);
      const path = join(folder, file);
      const content = language === 'diff' ? edited(readFileSync(path, 'utf8'), text) : text;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
      if (path.endsWith('.ts')) {
        const { diagnostics } = ts.transpileModule(content, { reportDiagnostics: true });
        expect(diagnostics, where).to.deep.equal([]);
      }
    }
  }
  expect(compared, `results under "${heading}"`).to.be.above(0);
}

/** A folder in which the package is installed. */
function withPackage(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-guide-'));
  const bin = join(folder, 'node_modules/.bin');
  mkdirSync(bin, { recursive: true });
  const command = `#!/bin/sh\nexec '${process.execPath}' '${join(PACKAGE_ROOT, 'dist/cli/main.js')}' "$@"\n`;
  writeFileSync(join(bin, 'fsvae-codegen'), command, { mode: 0o755 });
  return folder;
}

/** A clone of the repository, as far as the guide changes it: the rest is that of this one. */
function clone(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fsvae-guide-clone-'));
  for (const name of ['package.json', 'boards', 'firmware-templates', 'dist', 'test/conformance']) {
    cpSync(join(PACKAGE_ROOT, name), join(folder, name), { recursive: true });
  }
  for (const name of ['models', 'node_modules']) symlinkSync(join(PACKAGE_ROOT, name), join(folder, name));
  return folder;
}

describe('the guide to adding a board', function () {
  this.timeout(240_000);
  const folders: string[] = [];

  function kept(folder: string): string {
    folders.push(folder);
    return folder;
  }

  after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

  it('with a port that exists, draws what the golden model draws', () =>
    follow('### With a port that exists', kept(withPackage())));

  it('with a port of its own, and then in the package', async () => {
    requireQemu();
    const folder = kept(withPackage());
    await follow('### With a port of its own', folder);
    const repository = kept(clone());
    for (const name of ['lm3s6965', 'lm3s6965evb.json']) {
      cpSync(join(folder, name), join(repository, name), { recursive: true });
    }
    await follow('### Into the package', repository);
  });
});
