/** The Bernoulli choice: of each channel's k outputs one is picked, and their mean is the probability. Rows are (t, image). */

/** z[i] = outputs[i * k + choices[i]], for i over rows and channels. */
export function pick(outputs: Float32Array, choices: Uint8Array, k: number, z: Float32Array): void {
  for (let i = 0; i < z.length; i++) z[i] = outputs[i * k + choices[i]];
}

/** Mean of each channel's k outputs. */
export function meanOfChoices(outputs: Float32Array, k: number): Float32Array {
  const mean = new Float32Array(outputs.length / k);
  for (let i = 0; i < mean.length; i++) {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += outputs[i * k + j];
    mean[i] = sum / k;
  }
  return mean;
}

/** The adjoint of both: the mean's gradient to all k outputs, the picked spike's to the one picked. */
export function spreadToChoices(
  dMean: Float32Array,
  k: number,
  dOutputs: Float32Array,
  picked?: { readonly dz: Float32Array; readonly choices: Uint8Array },
): void {
  for (let i = 0; i < dMean.length; i++) {
    dOutputs.fill(dMean[i] / k, i * k, (i + 1) * k);
    if (picked !== undefined) dOutputs[i * k + picked.choices[i]] += picked.dz[i];
  }
}
