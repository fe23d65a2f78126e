/** `fsvae-codegen encode`: images as latent bits. */

import type { Command } from 'commander';
import { encodeLatents } from '../../harness/latent-file.js';
import { startProgress } from '../../harness/progress.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { modelHash } from '../../runtime-ts/model-file.js';
import { latentBytes } from '../../runtime-ts/spike-bits.js';
import { describeModel } from '../build.js';
import { encodeImage, imagesOf, loadEncoder } from '../encoder.js';
import { type EncodingFlags, openEncodingTarget, withEncodingTarget } from '../encoding-target.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

async function encode(
  output: Output,
  data: string,
  { out, ...flags }: EncodingFlags & { readonly out: string },
): Promise<void> {
  const encoder = loadEncoder(flags);
  const { model } = encoder.loaded;
  const { timeSteps, latentChannels, channels, imageSize } = model.config;
  output.say(describeModel(encoder.loaded));
  const images = await imagesOf(data, flags, model.config);
  // A board that is asked to encode must be able to.
  const opened = await openEncodingTarget(output, { ...flags, parts: flags.parts ?? 'full' }, encoder);
  const latents: Uint8Array[] = [];
  let differing = 0;
  const progress = startProgress({ stream: output.stderr, label: 'images', total: images.length });
  try {
    for (const [i, image] of images.entries()) {
      const expected = encodeImage(encoder, image, flags.seed, i);
      const latent =
        opened?.encoder === undefined ? expected : (await opened.encoder.encode(image, flags.seed + BigInt(i))).latent;
      if (latent.some((byte, at) => byte !== expected[at])) differing++;
      latents.push(latent);
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
    await opened?.target.close();
  }
  if (differing > 0) {
    const by = opened!.target.name;
    throw new FsvaeError('mismatch', `${differing} of ${images.length} latents of ${by} differ from the golden model`);
  }
  writeNew(out, encodeLatents({ modelHash: modelHash(model), timeSteps, latentChannels, latents }));
  output.say(
    `wrote ${out}: ${latents.length} latents of ${latentBytes(timeSteps, latentChannels)} bytes, ` +
      `from ${channels * imageSize * imageSize} bytes an image`,
  );
  if (opened?.encoder !== undefined) {
    output.say(`${latents.length} of ${latents.length} latents of ${opened.target.name} bit-exact`);
  }
}

export function encodeCommand(program: Command, output: Output): void {
  withEncodingTarget(program.command('encode').argument('<data>', 'mnist, fashion-mnist, or a folder of images'))
    .description(
      'Finds the latents of images: T x C bits each, from which decode draws them again; here or on a board.',
    )
    .requiredOption('-o, --out <file>', 'the file to write (safetensors)')
    .action((data: string, flags: EncodingFlags & { out: string }) => encode(output, data, flags));
}
