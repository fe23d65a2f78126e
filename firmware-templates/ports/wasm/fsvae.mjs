/** Instantiates fsvae.wasm, in Node or in a page. README.md, beside this file, shows how; fsvae.d.mts says what all of it means. */

export async function load(wasm, write = () => {}) {
  const view = (address, count) => new Uint8Array(memory.buffer, address, count);
  const port = {
    write: (address, count) => write(view(address, count).slice()),
    nanoseconds: () => BigInt(Math.round(1e6 * performance.now())),
  };
  const { instance } = await WebAssembly.instantiate(wasm, { port });
  const { memory, input, inputBytes, latentBytes, channels, imageSize, receive, sample, decode, encode } =
    instance.exports;
  const imageBytes = channels() * imageSize() ** 2;
  const give = (bytes, count, what) => {
    if (bytes.length !== count) throw new RangeError(`${what} of this model has ${count} bytes, not ${bytes.length}`);
    view(input(), count).set(bytes);
  };
  const take = (address, count) => {
    if (address === 0) throw new Error('the model refused its arguments');
    return view(address, count).slice();
  };
  return {
    channels: channels(),
    imageSize: imageSize(),
    latentBytes: latentBytes(),
    sample: (seed) => take(sample(seed), imageBytes),
    decode(latent) {
      give(latent, latentBytes(), 'a latent');
      return take(decode(), imageBytes);
    },
    ...(encode && {
      encode(image, seed) {
        give(image, imageBytes, 'an image');
        return take(encode(seed), latentBytes());
      },
    }),
    receive(bytes) {
      for (let at = 0; at < bytes.length; at += inputBytes()) {
        const part = bytes.subarray(at, at + inputBytes());
        view(input(), part.length).set(part);
        receive(part.length);
      }
    },
  };
}
