/** Mean and covariance from a file: NumPy's .npz as the authors and clean-fid publish them, or safetensors. */

import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { readNpz } from '../../codegen/checkpoint/npz.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import type { Gaussian } from './frechet.js';

/**
 * @param path `mu` (n) and `sigma` (n, n); a name that ends in .npz, or else safetensors
 * @param dimensions n that is wanted; undefined: what mu has
 * @throws FsvaeError `usage` when there is no such file, `input` when it is damaged or of another shape
 */
export function readStatistics(path: string, dimensions?: number): Gaussian {
  const arrays = path.endsWith('.npz') ? readNpz(path) : readCheckpoint(path).tensors;
  const read = (name: string, ...shape: number[]): Float64Array => {
    const found = arrays.get(name);
    if (found === undefined || found.shape.join() !== shape.join()) {
      throw new FsvaeError(
        'input',
        `${path}: ${name} is ${found === undefined ? 'missing' : `(${found.shape.join(', ')})`}, expected (${shape.join(', ')}), ` +
          "as the network's output has it",
      );
    }
    const data = Float64Array.from(found.data);
    if (!data.every((value) => Number.isFinite(value))) throw new FsvaeError('input', `${path}: ${name} is not finite`);
    return data;
  };
  const n = dimensions ?? arrays.get('mu')?.data.length ?? 0;
  return { mean: read('mu', n), covariance: read('sigma', n, n) };
}
