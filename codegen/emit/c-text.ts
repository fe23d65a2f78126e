/** Names and literals of C. */

import { FsvaeError } from '../../runtime-ts/errors.js';

const RESERVED = new Set(
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register ' +
    'restrict return short signed sizeof static struct switch typedef union unsigned void volatile while ' +
    'alignas alignof and asm bool catch class delete false friend mutable namespace new not operator or private ' +
    'protected public template this throw true try typename using virtual xor ' +
    // names of the generated file itself
    'arena begin c checksum choices coefficients count crc digest draw_choices events fired fires generator history history_count ' +
    'i image in inputs latent lazy list lists membrane monitor neuron out pair probing ring row row_length run_decoder ' +
    'run_encoder run_posterior run_prior seed seen status step t tables trace_step trace_trains train watch y z z_count z_events'
  ).split(' '),
);

/**
 * A C identifier for a layer's state_dict name: `prior.layers.0` becomes `prior_layers_0`.
 *
 * @throws FsvaeError `input` when the name has characters that are not letters, digits, "_" or "."
 */
export function layerIdentifier(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name)) {
    throw new FsvaeError('input', `layer name ${JSON.stringify(name)} cannot become a C identifier`);
  }
  const identifier = name.replaceAll('.', '_');
  return RESERVED.has(identifier) || /^_|^fsvae_|^FSVAE_|^ARENA_|^ENCODER_/.test(identifier)
    ? `layer_${identifier}`
    : identifier;
}

/** A 32-bit integer as C reads it; the lowest one has no literal of its own. */
export function int32Literal(value: number): string {
  return value === -(2 ** 31) ? '(-2147483647 - 1)' : String(value);
}

/** Small numbers, sixteen to a line, indented by four. */
export function numberLines(numbers: ArrayLike<number>): string {
  const lines: string[] = [];
  for (let i = 0; i < numbers.length; i += 16)
    lines.push(
      `    ${Array.from(numbers)
        .slice(i, i + 16)
        .join(', ')},`,
    );
  return lines.join('\n');
}

/** Words as hexadecimal literals, eight to a line, indented by four. */
export function wordLines(words: Uint32Array): string {
  const lines: string[] = [];
  for (let i = 0; i < words.length; i += 8) {
    const line = Array.from(words.subarray(i, i + 8), (word) => `0x${word.toString(16).padStart(8, '0')},`);
    lines.push(`    ${line.join(' ')}`);
  }
  return lines.join('\n');
}
