/** `--report`: one file that needs nothing else, with the numbers that the terminal has. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { loadModel } from '../../cli/load-model.js';
import { run } from '../../cli/program.js';
import type { Terminal } from '../../cli/terminal.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { planFor } from '../../codegen/project.js';
import { quantizationReport } from '../../codegen/quantize/report.js';
import { XIP_CACHE } from '../../emulator/xip-cache.js';
import { percent, whole } from '../../report/charts.js';
import { htmlReport, type ReportParts } from '../../report/html.js';
import { summarize } from '../../report/summary.js';
import { shipped } from '../support/shipped.js';

describe('report', () => {
  const { golden, plan } = shipped('tiny');
  const { float, model } = loadModel({ model: 'tiny' });
  const board = loadBoard('rp2040');
  const summary = summarize(plan, board, golden.work(0n), XIP_CACHE);
  const quantization = quantizationReport(float!, model, 2);
  const parts: ReportParts = {
    command: 'fsvae-codegen simulate <script>',
    generatorVersion: '0',
    model: { name: 'tiny "&"', hash: plan.modelHash, shape: 'a shape' },
    summary,
    quantization,
    measured: summary.predicted.map((_, row) => 1000 * (row + 1)),
    samples: { png: Uint8Array.of(1, 2, 3), text: 'samples' },
    verdict: { exact: true, text: 'every byte equals' },
  };

  it('holds fit, quality, cycles and samples, the same bytes each time', () => {
    const html = htmlReport(parts);
    expect(htmlReport(parts)).to.equal(html);
    expect(html).to.contain(`${whole(summary.budget!.flash.used)} of ${whole(summary.budget!.flash.available)} bytes`);
    for (const layer of quantization.layers) {
      expect(html).to.contain(`>${layer.name}</th>`);
      expect(html).to.contain(`>${percent(layer.mismatch, 2)}</span>`);
    }
    expect(html).to.contain('base64,AQID').and.to.contain('every byte equals');
    expect(html).to.contain(`Measured by the board: ${whole(sum(parts.measured!))} cycles`);
  });

  it('loads nothing, runs nothing, and lets no name become markup', () => {
    const html = htmlReport(parts);
    expect(html).not.to.match(/<script|<link|\son\w+=|(?:src|href)="(?!data:image\/png)|url\(|@import/i);
    expect(html).to.contain('&lt;script&gt;').and.to.contain('tiny &quot;&amp;&quot;');
  });

  it('marks predictions only where they are for the measured core', () => {
    const other = { ...summary, board: { ...summary.board, core: 'cortex-m4' } };
    expect(htmlReport(parts)).to.contain('class="mark"');
    expect(htmlReport({ ...parts, summary: other })).not.to.contain('class="mark"');
  });

  it('adds up: sections of the layers are all constants, predicted rows those of a trace and the readout', () => {
    const flash = summary.layers.reduce((total, layer) => total + layer.flashBytes, 0);
    expect(flash).to.equal(4 * plan.weights.words.length);
    expect(summary.predicted.map(({ name }) => name)).to.deep.equal([...golden.layerNames, 'readout']);
    expect(planFor(model, 'tiny', board).arena.bytes).to.equal(summary.arena.bytes);
  });

  it('is written by the command line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fsvae-report-'));
    try {
      const file = join(folder, 'new', 'report.html');
      let said = '';
      const stream = { write: (text: string) => ((said += text), true), isTTY: false, columns: 80 };
      const terminal = { stdout: stream, stderr: stream, env: {} } as unknown as Terminal;
      const checkpoint = join(PACKAGE_ROOT, 'models', 'tiny', 'tiny.safetensors');
      const code = await run(['quantize', checkpoint, '--samples', '2', '--report', file], terminal);
      expect(code, said).to.equal(0);
      expect(said).to.contain(`report: ${file}`);
      const html = readFileSync(file, 'utf8');
      for (const layer of quantization.layers) expect(html).to.contain(`>${percent(layer.mismatch, 2)}</span>`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
