/** A program that plays a board behind a pseudo-terminal: the emulator's process, or the host build of the firmware. */

import { type ChildProcess, spawn } from 'node:child_process';
import { basename } from 'node:path';
import { FsvaeError } from '../runtime-ts/errors.js';

export interface BoardProcess {
  /** Path of the pseudo-terminal, to be opened like a serial port. */
  readonly path: string;
  readonly pid: number;
  /** Resolves when the process has ended, by itself or by close(), with what it last said on stderr. */
  readonly ended: Promise<string>;
  /**
   * Sends a line on stdin and resolves with the next line on stdout: what the RP2040's emulator is asked about itself
   * (emulator/rp2040-process.ts). One question at a time.
   *
   * @throws FsvaeError `link` when the process ends first, with its last line on stderr
   */
  ask(question: string): Promise<string>;
  /** Ends the process and waits until it has ended. Ending it twice is harmless. */
  close(): Promise<void>;
}

export interface ProcessOptions {
  /** How long the process may take until it names its pseudo-terminal, in milliseconds. */
  readonly startMs?: number;
  /** How long it may take to end when asked to, before it is killed. */
  readonly stopMs?: number;
}

/** Longest first line and longest kept stderr: a child that floods must not fill this process's memory. */
const OUTPUT_BYTES = 4096;

/**
 * Starts `command` and waits for its first line on stdout, `{"pty":"/dev/pts/N"}`. The child ends when its stdin closes,
 * so it does not outlive this process.
 *
 * @throws FsvaeError `link` when it does not start, ends early (with its last line on stderr), says something else, or
 *   takes too long
 */
export async function startBoardProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<BoardProcess> {
  const name = basename(command);
  const startMs = options.startMs ?? 10_000;
  const stopMs = options.stopMs ?? 2000;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => {
    stderr = (stderr + data.toString('utf8')).slice(-OUTPUT_BYTES);
  });
  // Writing to a child that has just ended is reported by its end.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => {
    child.once('close', () => resolve(lastLine(stderr)));
    child.once('error', (error) => resolve(error.message));
  });
  const close = () => stop(child, ended, stopMs);
  const nextLine = lineReader(child);
  const ask = async (question: string): Promise<string> => {
    const line = nextLine();
    child.stdin.write(`${question}\n`);
    const last = await Promise.race([line, ended.then((said) => ({ said }))]);
    if (typeof last === 'string') return last;
    throw new FsvaeError('link', `${name} ended before it answered "${question}": ${last.said || 'it gave no reason'}`);
  };

  let timer: NodeJS.Timeout | undefined;
  try {
    const line = await Promise.race([
      nextLine(),
      ended.then((last) => {
        const how =
          child.pid === undefined
            ? 'it did not start'
            : (child.signalCode ?? `exit code ${child.exitCode ?? 'unknown'}`);
        throw new FsvaeError('link', `${name} ended before it opened a port (${how}): ${last || 'it gave no reason'}`);
      }),
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          const said = lastLine(stderr);
          reject(
            new FsvaeError(
              'link',
              `${name} opened no port within ${startMs / 1000} s${said === '' ? '' : `; its last words: ${said}`}`,
            ),
          );
        }, startMs);
      }),
    ]);
    const path = ptyOf(line);
    if (path === undefined || child.pid === undefined) {
      throw new FsvaeError(
        'link',
        `${name} said ${JSON.stringify(line.slice(0, 80))} instead of naming its pseudo-terminal: it is no board process`,
      );
    }
    return { path, pid: child.pid, ended, ask, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** What the child says on stdout, line by line; what nobody waits for is dropped. */
function lineReader(child: ChildProcess): () => Promise<string> {
  let text = '';
  let take: ((line: string) => void) | undefined;
  // Reading goes on for ever, or a child that says more would block.
  child.stdout?.on('data', (data: Buffer) => {
    if (take === undefined) return;
    text += data.toString('utf8').slice(0, OUTPUT_BYTES);
    const end = text.indexOf('\n');
    if (end < 0 && text.length < OUTPUT_BYTES) return;
    take(end < 0 ? text : text.slice(0, end));
    take = undefined;
  });
  return () =>
    new Promise((resolve) => {
      text = '';
      take = resolve;
    });
}

function ptyOf(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && 'pty' in value && typeof value.pty === 'string')
      return value.pty;
  } catch {
    // Not JSON: the caller shows the line.
  }
  return undefined;
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.at(-1) ?? '').trim().slice(0, 300);
}

async function stop(child: ChildProcess, ended: Promise<string>, stopMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.stdin?.end();
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await ended;
  clearTimeout(timer);
}
