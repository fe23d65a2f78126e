/** Progress: a bar on a terminal, a plain line every few seconds anywhere else (a log file, a CI job). */

import cliProgress from 'cli-progress';

export interface Progress {
  /** @param note what else is worth a word, such as a rate */
  update(done: number, note?: string): void;
  /** Leaves the last state on the screen. Must be called, also after an error. */
  stop(): void;
}

export interface ProgressOptions {
  readonly stream: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** What is counted, for example `images`. */
  readonly label: string;
  readonly total: number;
  /** Time between two plain lines, in milliseconds. */
  readonly everyMs?: number;
}

export function startProgress(options: ProgressOptions): Progress {
  return options.stream.isTTY === true ? new BarProgress(options) : new LineProgress(options);
}

class BarProgress implements Progress {
  private readonly bar: cliProgress.SingleBar;

  constructor({ stream, label, total }: ProgressOptions) {
    this.bar = new cliProgress.SingleBar({
      stream,
      format: `{bar} {value}/{total} ${label}  {note}`,
      barCompleteChar: '#',
      barIncompleteChar: '-',
      barsize: 30,
      hideCursor: true,
      clearOnComplete: false,
    });
    this.bar.start(total, 0, { note: '' });
  }

  update(done: number, note = ''): void {
    this.bar.update(done, { note });
  }

  stop(): void {
    this.bar.stop();
  }
}

class LineProgress implements Progress {
  private written = performance.now();
  private last: string | undefined;

  constructor(private readonly options: ProgressOptions) {}

  update(done: number, note = ''): void {
    const { total, label, everyMs = 5000 } = this.options;
    this.last = `${done}/${total} ${label}${note === '' ? '' : `  ${note}`}`;
    if (performance.now() - this.written >= everyMs) this.flush();
  }

  stop(): void {
    this.flush();
  }

  private flush(): void {
    if (this.last === undefined) return;
    this.options.stream.write(`${this.last}\n`);
    this.last = undefined;
    this.written = performance.now();
  }
}

/**
 * Time left, for a note, by the mean pace so far.
 *
 * @param started `performance.now()` of the beginning
 */
export function timeLeft(started: number, done: number, total: number): string {
  const seconds = done === 0 ? Infinity : (((performance.now() - started) / 1000) * (total - done)) / done;
  return `${formatDuration(seconds)} left`;
}

/** Rounded up to seconds, minutes or tenths of an hour. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
