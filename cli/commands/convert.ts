/** `fsvae-codegen convert`: what generation needs of a checkpoint, as safetensors: smaller, and nothing in it can execute. */

import { type Command, Option } from 'commander';
import type { Checkpoint } from '../../codegen/checkpoint/checkpoint.js';
import { encodeBinary16 } from '../../codegen/checkpoint/floats.js';
import { hasEncoder } from '../../codegen/float/encoder.js';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { encodeSafetensors, type Tensor } from '../../runtime-ts/safetensors.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

const GENERATION = /^(prior\.|decoder_input\.|decoder\.|final_layer\.|membrane_output_layer\.)/;
const ENCODING = /^(encoder\.|before_latent_layer\.|posterior\.)/;

/** What becomes of encoder and posterior: left out, kept as they are, or their weights in 16 bits. */
type Encoder = 'none' | 'f32' | 'f16';

/**
 * @param encoder with `f16`, weights of encoder and posterior are rounded to binary16; what has one dimension is kept
 * @returns a safetensors file of the tensors, float32 (float64 where the checkpoint has that), sorted by name: the same
 *   checkpoint always gives the same bytes
 * @throws FsvaeError `input` for a checkpoint that lacks what is to be kept
 */
export function convertCheckpoint(checkpoint: Checkpoint, encoder: Encoder = 'none'): Uint8Array {
  if (encoder !== 'none' && !hasEncoder(checkpoint)) {
    throw new FsvaeError('input', `${checkpoint.source} holds no encoder: it holds only what generation needs`);
  }
  const wanted = (name: string): boolean => GENERATION.test(name) || (encoder !== 'none' && ENCODING.test(name));
  const names = [...checkpoint.tensors.keys()].filter(wanted).sort();
  if (names.length === 0) {
    throw new FsvaeError('input', `${checkpoint.source} holds no tensor of a prior or decoder`);
  }
  const tensors = new Map<string, Tensor>();
  for (const name of names) {
    const { shape, data } = checkpoint.tensors.get(name)!;
    const short = encoder === 'f16' && ENCODING.test(name) && shape.length > 1 ? encodeBinary16(data) : undefined;
    if (short !== undefined) {
      tensors.set(name, { dtype: 'F16', shape: [...shape], data: short });
      continue;
    }
    tensors.set(name, {
      dtype: data instanceof Float64Array ? 'F64' : 'F32',
      shape: [...shape],
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
  }
  return encodeSafetensors(tensors, {});
}

export function convertCommand(program: Command, output: Output): void {
  program
    .command('convert')
    .argument('<checkpoint>', 'a checkpoint')
    .description('Writes the tensors that generation needs as one safetensors file, bit for bit.')
    .addOption(
      new Option('--encoder <form>', 'encoder and posterior too: as they are (f32), or weights in 16 bits (f16)')
        .choices(['none', 'f32', 'f16'])
        .default('none'),
    )
    .requiredOption('-o, --out <file>', 'the file to write')
    .action((checkpoint: string, flags: { out: string; encoder: Encoder }) => {
      const bytes = convertCheckpoint(readCheckpoint(checkpoint), flags.encoder);
      writeNew(flags.out, bytes);
      const what = flags.encoder === 'none' ? 'what generation needs' : 'the whole network';
      output.say(`wrote ${flags.out}: ${what} of ${checkpoint}, ${bytes.length} bytes`);
    });
}
