/** Public surface of the golden model: pure TypeScript, no Node API, no dependency. */

export * from './errors.js';
export * from './model.js';
export * from './bounds.js';
export * from './crc32.js';
export * from './sha256.js';
export * from './pcg32.js';
export * from './lif.js';
export * from './layers.js';
export * from './readout.js';
export * from './spike-bits.js';
export * from './network.js';
export * from './safetensors.js';
export * from './model-file.js';
export * from './work.js';
export * from './golden.js';
export * from './encoder-model.js';
export * from './encoder.js';
export * from './golden-encoder.js';
