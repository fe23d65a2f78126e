/** `fsvae-codegen encode`: images as latent bits. */

import type { Command } from 'commander';
import { encodeLatents } from '../../harness/latent-file.js';
import { startProgress } from '../../harness/progress.js';
import { modelHash } from '../../runtime-ts/model-file.js';
import { latentBytes } from '../../runtime-ts/spike-bits.js';
import { describeModel } from '../build.js';
import { type EncodeFlags, encodeImage, imagesOf, loadEncoder, withEncoder } from '../encoder.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

async function encode(output: Output, data: string, flags: EncodeFlags & { readonly out: string }): Promise<void> {
  const encoder = loadEncoder(flags);
  const { model } = encoder.loaded;
  const { timeSteps, latentChannels, channels, imageSize } = model.config;
  output.say(describeModel(encoder.loaded));
  const images = await imagesOf(data, flags, model.config);
  const latents: Uint8Array[] = [];
  const progress = startProgress({ stream: output.stderr, label: 'images', total: images.length });
  try {
    images.forEach((image, i) => {
      latents.push(encodeImage(encoder, image, flags.seed, i));
      progress.update(i + 1);
    });
  } finally {
    progress.stop();
  }
  writeNew(flags.out, encodeLatents({ modelHash: modelHash(model), timeSteps, latentChannels, latents }));
  output.say(
    `wrote ${flags.out}: ${latents.length} latents of ${latentBytes(timeSteps, latentChannels)} bytes, ` +
      `from ${channels * imageSize * imageSize} bytes an image`,
  );
}

export function encodeCommand(program: Command, output: Output): void {
  withEncoder(program.command('encode').argument('<data>', 'mnist, fashion-mnist, or a folder of images'))
    .description('Finds the latents of images: T x C bits each, from which decode draws them again.')
    .requiredOption('-o, --out <file>', 'the file to write (safetensors)')
    .action((data: string, flags: EncodeFlags & { out: string }) => encode(output, data, flags));
}
