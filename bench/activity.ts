/**
 * `npm run bench:activity`: how the choices at quantization move spikes, work and images of the shipped full-size model,
 * as the table of docs/activity.md.
 *
 *   npm run bench:activity -- --samples 16
 */

import { Command } from 'commander';
import { loadModel } from '../cli/load-model.js';
import { predictCost } from '../codegen/plan/cost.js';
import { makePlan } from '../codegen/plan/plan.js';
import { quantizationReport } from '../codegen/quantize/report.js';
import { XIP_CACHE } from '../emulator/xip-cache.js';
import { startProgress } from '../harness/progress.js';
import { markdownTable } from './format.js';

/** Flags of `fsvae-codegen quantize mnist`. */
const SETTINGS: readonly { readonly bits?: string; readonly thresholdScale?: string }[] = [
  {},
  { bits: '4' },
  { bits: '8,prior=4' },
  { thresholdScale: '0.9' },
  { thresholdScale: '1.05' },
  { thresholdScale: '1.1' },
  { thresholdScale: '1.25' },
  { thresholdScale: '1,decoder=1.05' },
  { thresholdScale: '1,decoder=1.1' },
  { thresholdScale: '1,decoder=1.25' },
  { thresholdScale: '1,decoder.2=1.1' },
  { thresholdScale: '1,final_layer.0=1.1' },
];

const program = new Command('bench:activity').option('--samples <count>', 'images for each setting', Number, 16);
program.parse();
const { samples } = program.opts<{ samples: number }>();
const progress = startProgress({ stream: process.stderr, label: 'settings', total: SETTINGS.length });
const rows = SETTINGS.map(({ bits, thresholdScale }, i) => {
  const { model, name, float } = loadModel({
    model: 'mnist',
    ...(bits === undefined ? {} : { bits }),
    ...(thresholdScale === undefined ? {} : { thresholdScale }),
  });
  const { activity, decoderError } = quantizationReport(float!, model, samples);
  progress.update(i + 1);
  const flags = [
    ...(bits === undefined ? [] : [`--bits ${bits}`]),
    ...(thresholdScale === undefined ? [] : [`--threshold-scale ${thresholdScale}`]),
  ].join(' ');
  return [
    flags === '' ? 'none' : `\`${flags}\``,
    Math.round(activity.spikes).toLocaleString('en-US'),
    (activity.synapticOperations / 1e6).toFixed(2),
    (predictCost(makePlan(model, name), activity, XIP_CACHE).cycles / 1e6).toFixed(1),
    decoderError.meanAbsolute.toFixed(2),
    decoderError.meanSquared.toFixed(4),
  ];
});
progress.stop();
const head = ['flags', 'spikes', 'synops, millions', 'predicted Mcycles', 'grey levels off, mean', 'MSE'];
process.stdout.write(`${markdownTable([head, ...rows]).join('\n')}\n`);
