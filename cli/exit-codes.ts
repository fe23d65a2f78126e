import type { ErrorKind } from '../runtime-ts/errors.js';

/** What the command ends with. Documented in the README; never renumbered. */
export const EXIT_CODES: Readonly<Record<ErrorKind | 'internal', number>> = {
  mismatch: 1,
  usage: 2,
  input: 3,
  fit: 4,
  toolchain: 5,
  link: 6,
  'model-mismatch': 7,
  diverged: 8,
  flash: 9,
  internal: 70,
};
