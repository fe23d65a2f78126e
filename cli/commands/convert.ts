/** `fsvae-codegen convert`: what generation needs of a checkpoint, as safetensors: smaller, and nothing in it can execute. */

import type { Command } from 'commander';
import type { Checkpoint } from '../../codegen/checkpoint/checkpoint.js';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { encodeSafetensors, type Tensor } from '../../runtime-ts/safetensors.js';
import type { Output } from '../terminal.js';
import { writeNew } from '../write-new.js';

const GENERATION = /^(prior\.|decoder_input\.|decoder\.|final_layer\.|membrane_output_layer\.)/;

/**
 * @returns a safetensors file of all prior and decoder tensors, float32 (float64 where the checkpoint has that), sorted
 *   by name: the same checkpoint always gives the same bytes
 */
export function convertCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const names = [...checkpoint.tensors.keys()].filter((name) => GENERATION.test(name)).sort();
  if (names.length === 0) {
    throw new FsvaeError('input', `${checkpoint.source} holds no tensor of a prior or decoder`);
  }
  const tensors = new Map<string, Tensor>();
  for (const name of names) {
    const { shape, data } = checkpoint.tensors.get(name)!;
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
    .requiredOption('-o, --out <file>', 'the file to write')
    .action((checkpoint: string, flags: { out: string }) => {
      const bytes = convertCheckpoint(readCheckpoint(checkpoint));
      writeNew(flags.out, bytes);
      output.say(`wrote ${flags.out}: what generation needs of ${checkpoint}, ${bytes.length} bytes`);
    });
}
