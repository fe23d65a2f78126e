/** Instantiates fsvae.wasm, in Node or in a page. README.md, beside this file, shows how. */

/**
 * @param {BufferSource} wasm the bytes of fsvae.wasm
 * @param {(bytes: Uint8Array) => void} write takes what the serial application sends, while receive() runs; images need none of it
 */
export async function load(wasm, write = () => {}) {
  const view = (address, count) => new Uint8Array(memory.buffer, address, count);
  const port = {
    write: (address, count) => write(view(address, count).slice()),
    nanoseconds: () => BigInt(Math.round(1e6 * performance.now())),
  };
  const { instance } = await WebAssembly.instantiate(wasm, { port });
  const { memory, input, inputBytes, latentBytes, channels, imageSize, receive, sample, decode } = instance.exports;
  const image = (address) => {
    if (address === 0) throw new Error('the model refused to draw');
    return view(address, channels() * imageSize() ** 2).slice();
  };
  return {
    channels: channels(),
    /** Height and width in pixels. */
    imageSize: imageSize(),
    /** Bytes of a latent: T runs of C bits, the first bit of a byte its lowest. */
    latentBytes: latentBytes(),
    /** The image of a seed, a BigInt from 0 to 2^64 - 1: grey levels, channel by channel, row by row. */
    sample: (seed) => image(sample(seed)),
    /** The image of a latent. */
    decode(latent) {
      if (latent.length !== latentBytes()) {
        throw new RangeError(`a latent of this model has ${latentBytes()} bytes, not ${latent.length}`);
      }
      view(input(), latent.length).set(latent);
      return image(decode());
    },
    /** Bytes for the serial application: any part of a frame, or several. */
    receive(bytes) {
      for (let at = 0; at < bytes.length; at += inputBytes()) {
        const part = bytes.subarray(at, at + inputBytes());
        view(input(), part.length).set(part);
        receive(part.length);
      }
    },
  };
}
