/** Instantiates fsvae.wasm, in Node or in a page. README.md, beside this file, shows how; fsvae.d.mts says what all of it means. */

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
    imageSize: imageSize(),
    latentBytes: latentBytes(),
    sample: (seed) => image(sample(seed)),
    decode(latent) {
      if (latent.length !== latentBytes()) {
        throw new RangeError(`a latent of this model has ${latentBytes()} bytes, not ${latent.length}`);
      }
      view(input(), latent.length).set(latent);
      return image(decode());
    },
    receive(bytes) {
      for (let at = 0; at < bytes.length; at += inputBytes()) {
        const part = bytes.subarray(at, at + inputBytes());
        view(input(), part.length).set(part);
        receive(part.length);
      }
    },
  };
}
