/** Where a command's words go: results to stdout, what is only for people to stderr. */

/** What the command line needs of its process; tests give their own. */
export interface Terminal {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export class Output {
  constructor(readonly terminal: Terminal) {}

  get stderr(): NodeJS.WriteStream {
    return this.terminal.stderr;
  }

  /** A line of the result. */
  say(text: string): void {
    this.terminal.stdout.write(`${text}\n`);
  }

  /** A line for people, also while stdout carries JSON. */
  note(text: string): void {
    this.terminal.stderr.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.say(JSON.stringify(value));
  }

  /** For what leads up to a result: stdout for people, stderr while stdout carries JSON. */
  talker(flags: { readonly json?: boolean }): (line: string) => void {
    return (line) => (flags.json === true ? this.note(line) : this.say(line));
  }
}
