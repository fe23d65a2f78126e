import { expect } from 'chai';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** The message of the refusal that `action` must end in: an FsvaeError of kind `input` with one printable line. */
export function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (!(error instanceof FsvaeError)) throw error;
    expect(error.kind).to.equal('input');
    expect(error.message).to.match(/^[\x20-\x7e]{10,400}$/);
    return error.message;
  }
  return expect.fail('was accepted');
}

/** Runs `action`, which may succeed or refuse properly, but must not fail in any other way. */
export function refuseOrAccept(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof FsvaeError)) throw error;
    expect(error.message).to.match(/^[\x20-\x7e]{10,400}$/);
  }
}

/** The same bytes inside a larger buffer at an odd offset, as a file read by Node may lie. */
export function unaligned(bytes: Uint8Array): Uint8Array {
  const room = new Uint8Array(bytes.length + 8).fill(0xa5);
  room.set(bytes, 3);
  return room.subarray(3, 3 + bytes.length);
}
