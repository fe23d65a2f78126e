/** Fréchet distance between two sets of points, each taken for a normal distribution (Heusel et al. 2017). */

import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Mean and covariance of points. */
export interface Gaussian {
  /** n numbers. */
  readonly mean: Float64Array;
  /** n * n numbers, row-major and symmetric; divided by the number of points less one. */
  readonly covariance: Float64Array;
}

/** Products over the rows of two row-major n x n matrices: a times b, where b is symmetric. */
function timesSymmetric(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const product = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[i * n + k] * b[j * n + k];
      product[i * n + j] = sum;
    }
  }
  return product;
}

function decompose(symmetric: Float64Array, n: number): EigenvalueDecomposition {
  return new EigenvalueDecomposition(Matrix.from1DArray(n, n, symmetric), { assumeSymmetric: true });
}

/** What rounding leaves below zero is zero. */
function root(eigenvalue: number): number {
  return Math.sqrt(Math.max(0, eigenvalue));
}

/** The symmetric square root of a positive semi-definite matrix. */
function squareRoot(symmetric: Float64Array, n: number): Float64Array {
  const { realEigenvalues, eigenvectorMatrix } = decompose(symmetric, n);
  const vectors = Float64Array.from({ length: n * n }, (_, i) => eigenvectorMatrix.get(Math.floor(i / n), i % n));
  const scaled = vectors.map((value, i) => value * root(realEigenvalues[i % n]));
  return timesSymmetric(scaled, vectors, n); // V sqrt(D) V', rows of V times rows of V
}

/**
 * |m1 - m2|^2 + trace(S1 + S2 - 2 sqrt(S1 S2)). The eigenvalues of S1 S2 are those of the symmetric
 * sqrt(S1) S2 sqrt(S1), so the trace of its square root is the sum of their roots, and nothing complex appears on the way.
 *
 * @param a of the same dimensions as b
 * @returns 0 or more, but for rounding
 */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  const n = a.mean.length;
  const sqrtA = squareRoot(a.covariance, n);
  const product = timesSymmetric(timesSymmetric(sqrtA, b.covariance, n), sqrtA, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      product[i * n + j] = product[j * n + i] = (product[i * n + j] + product[j * n + i]) / 2;
    }
  }
  const overlap = decompose(product, n).realEigenvalues.reduce((sum, value) => sum + root(value), 0);
  let distance = -2 * overlap;
  for (let i = 0; i < n; i++) {
    distance += (a.mean[i] - b.mean[i]) ** 2 + a.covariance[i * n + i] + b.covariance[i * n + i];
  }
  return distance;
}
