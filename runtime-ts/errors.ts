/**
 * What went wrong, in the terms a caller can act on. The command line maps each kind to an exit code.
 *
 * - `usage`: a flag or argument is wrong.
 * - `input`: a file (checkpoint, model, recorded run, board description) is damaged, hostile or of another shape.
 * - `fit`: the model does not fit the board.
 * - `toolchain`: no compiler, or it failed.
 * - `link`: the serial port is missing, busy, silent, or speaks something else.
 * - `model-mismatch`: the board runs another model, generator or protocol than the one asked for.
 * - `mismatch`: bits differ from the golden model.
 * - `flash`: the image did not get onto the board: no drive, no tool, or it failed.
 * - `diverged`: training came to a number that is not finite.
 */
export type ErrorKind =
  'usage' | 'input' | 'fit' | 'toolchain' | 'link' | 'model-mismatch' | 'mismatch' | 'diverged' | 'flash';

/** An error meant for a person: one line that says what, where, why, and what to do. */
export class FsvaeError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string) {
    super(message);
    this.name = 'FsvaeError';
    this.kind = kind;
  }
}
