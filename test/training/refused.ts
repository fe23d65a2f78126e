import { expect } from 'chai';
import { type ErrorKind, FsvaeError } from '../../runtime-ts/errors.js';

/** The action ends in an error for people: of this kind, one line that says this. */
export async function refused(action: () => unknown, kind: ErrorKind, message: RegExp): Promise<void> {
  let error: unknown;
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).to.be.instanceOf(FsvaeError);
  expect((error as FsvaeError).message)
    .to.match(message)
    .and.not.include('\n');
  expect((error as FsvaeError).kind).to.equal(kind);
}
