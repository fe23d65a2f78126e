import { expect } from 'chai';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** The FsvaeError that a promise is rejected with; anything else fails the test. Its message must be one line. */
export async function errorOf(promise: Promise<unknown>): Promise<FsvaeError> {
  let error: unknown;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  expect(error, 'an error').to.be.instanceOf(FsvaeError);
  const { message } = error as FsvaeError;
  expect(message).to.not.match(/[\r\n]/);
  return error as FsvaeError;
}
