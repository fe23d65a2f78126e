/** Golden digests as text that a person can review: per row and step, and the image as characters. */

import { terminalPicture } from '../../harness/picture.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import type { GoldenModel } from '../../runtime-ts/golden.js';
import type { GoldenEncoder } from '../../runtime-ts/golden-encoder.js';

const hex = (word: number): string => word.toString(16).padStart(8, '0');

/** Everything about some seeds of a model, one line for each row of a trace. */
export function goldenText(title: string, golden: GoldenModel, seeds: readonly bigint[]): string {
  const { channels, imageSize } = golden.model.config;
  const width = Math.max(...golden.layerNames.map((name) => name.length));
  const lines = [
    `${title}, hash ${golden.hash}`,
    'Digests: CRC-32 of the spikes of each row at each step (rule T3). Renew with: npm run golden:update',
  ];
  for (const seed of seeds) {
    const trace = golden.trace(seed);
    lines.push('', `seed ${seed}`);
    trace.digests.forEach((steps, row) => {
      lines.push(
        `  ${golden.layerNames[row].padEnd(width)}  ${Array.from(steps, hex).join(' ')}  ${trace.spikes[row]} spikes`,
      );
    });
    lines.push(`  ${'image'.padEnd(width)}  ${hex(trace.imageCrc)}`);
    const picture = terminalPicture(trace.image, { channels, size: imageSize }, 'ascii');
    lines.push(...picture.split('\n').map((line) => `  |${line}`.trimEnd()));
  }
  return `${lines.join('\n')}\n`;
}

/** The same of an encoder: how images become latents. */
export function goldenEncoderText(title: string, encoder: GoldenEncoder, images: readonly Uint8Array[]): string {
  const { channels, imageSize } = encoder.encoder.config;
  const width = Math.max(...encoder.rows.map(({ name }) => name.length));
  const lines = [
    `${title}, hash ${encoder.hash}`,
    'Digests: CRC-32 of the spikes of each row at each step (rule T3). Renew with: npm run golden:update',
  ];
  images.forEach((image, seed) => {
    const { digests, spikes, latent } = encoder.trace(image, BigInt(seed));
    lines.push('', `seed ${seed}, of the image`);
    const picture = terminalPicture(image, { channels, size: imageSize }, 'ascii');
    lines.push(...picture.split('\n').map((line) => `  |${line}`.trimEnd()));
    digests.forEach((steps, row) => {
      lines.push(
        `  ${encoder.rows[row].name.padEnd(width)}  ${Array.from(steps, hex).join(' ')}  ${spikes[row]} spikes`,
      );
    });
    lines.push(`  ${'latent'.padEnd(width)}  ${hex(crc32(latent))}`);
  });
  return `${lines.join('\n')}\n`;
}

/** Digests and image CRC-32 of a seed, read back from goldenText(). */
export interface GoldenDigests {
  readonly digests: number[][];
  readonly imageCrc: number;
}

export function parseGoldenText(text: string): Map<bigint, GoldenDigests> {
  const seeds = new Map<bigint, GoldenDigests>();
  let digests: number[][] = [];
  let seed = -1n;
  for (const line of text.split('\n')) {
    const start = /^seed (\d+)$/.exec(line);
    if (start !== null) {
      seed = BigInt(start[1]);
      digests = [];
    }
    const row = /^ {2}\S+ +((?:[0-9a-f]{8} )+) \d+ spikes$/.exec(line);
    if (row !== null)
      digests.push(
        row[1]
          .trim()
          .split(' ')
          .map((word) => Number.parseInt(word, 16)),
      );
    const image = /^ {2}image +([0-9a-f]{8})$/.exec(line);
    if (image !== null) seeds.set(seed, { digests, imageCrc: Number.parseInt(image[1], 16) });
  }
  return seeds;
}
