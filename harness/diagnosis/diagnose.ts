/** From the first bits that differ to the likely cause: damaged constants, rounding, overflow, kernel, chance, old firmware. */

import type { GoldenModel } from '../../runtime-ts/golden.js';
import { type ExpectedConstants, findDamage, formatDamage } from '../constants.js';
import type { Target } from '../target.js';
import type { Finding } from '../verify.js';
import { rowOf } from './row.js';
import { type Suspect, suspectChoice, suspectReadout, suspectRow } from './suspects.js';

export interface DiagnoseOptions {
  /** What the target's constants may be; empty where they cannot be read. */
  readonly constants: readonly ExpectedConstants[];
  /** Set where the target's firmware came from another version of the generator: one line that says so. */
  readonly generatorNote?: string;
}

/**
 * What explains a finding. Constants are looked at first (one request, two when a word is damaged), since what is read
 * wrong looks like anything; everything else is reckoned here from what the finding already holds.
 */
export async function diagnose(
  target: Target,
  golden: GoldenModel,
  finding: Finding,
  { constants, generatorNote }: DiagnoseOptions,
): Promise<Suspect> {
  if (target.constants !== undefined && constants.length > 0) {
    const damage = await findDamage((request) => target.constants!(request), constants);
    if (damage !== undefined) return { cause: 'damaged constants', text: formatDamage(damage) };
  }
  const suspect = await suspectOf(target, golden, finding);
  if (suspect !== undefined) return suspect;
  if (generatorNote !== undefined) return { cause: 'stale firmware', text: generatorNote };
  return { cause: 'unknown', text: 'none of the mistakes known here gives these bits; its constants are whole' };
}

async function suspectOf(target: Target, golden: GoldenModel, finding: Finding): Promise<Suspect | undefined> {
  switch (finding.kind) {
    case 'choice':
      return suspectChoice(golden, finding.seed, finding.step, finding.indices);
    case 'spike':
      return suspectRow(rowOf(golden, finding.seed, finding.layer), finding);
    case 'image':
      return finding.repeats
        ? suspectReadout(golden, finding.seed, finding.image)
        : {
            cause: 'unstable',
            text: 'drawn again the image is another: memory, power or the link, not the arithmetic',
          };
    case 'digest': {
      const again = await target.trace(finding.seed);
      return again.digests[finding.layer][finding.step] === finding.digest
        ? {
            cause: 'wrong kernel',
            text:
              'wrong the same way each time, and right when looked into: of what is left out then, which is the second ' +
              'core, bulk reads of flash and kernels without probes',
          }
        : {
            cause: 'unstable',
            text: 'the same seed gives other spikes each time: memory, power, or two cores in a race',
          };
    }
  }
}
