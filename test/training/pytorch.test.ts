import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { readCheckpoint } from '../../codegen/checkpoint/file.js';
import { readNpz } from '../../codegen/checkpoint/npz.js';
import { checkRecordedRun, formatCheckReport } from '../../codegen/float/check.js';
import { readFloatModel } from '../../codegen/float/network.js';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { encodeSafetensors, parseSafetensors } from '../../runtime-ts/safetensors.js';
import { configJsonSchema, parseNetworkConfig } from '../../training/config/config.js';
import { openImages } from '../../training/data/open.js';
import { fingerprint, train } from '../../training/train/trainer.js';
import { writeMadeImages } from './made-images.js';

const FOLDER = join(PACKAGE_ROOT, 'training', 'pytorch');

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}

/** A Python with torch: of the user's choice, the first one of the path, the system's. */
function findPython(): string | undefined {
  const probe = 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "numpy"))))';
  return [process.env['PYTHON'], 'python3', '/usr/bin/python3']
    .filter((python) => python !== undefined)
    .find((python) => spawnSync(python, ['-c', probe]).status === 0);
}

it('training/config/schema.json is the schema of training/config/config.ts', () => {
  const file: unknown = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'training', 'config', 'schema.json'), 'utf8'));
  expect(file, 'npm run schema writes it anew').to.deep.equal(JSON.parse(JSON.stringify(configJsonSchema())));
});

describe('training in PyTorch', function () {
  this.timeout(300_000);
  let python: string;
  let folder: string;
  let environment: Record<string, string> = {};
  afterEach(() => {
    environment = {};
  });

  before(function () {
    const found = findPython();
    if (found === undefined) {
      console.log('      skipped: no python3 with torch and numpy here (Debian: python3-torch, python3-numpy)');
      this.skip();
    }
    python = found;
    folder = mkdtempSync(join(tmpdir(), 'fsvae-pytorch-'));
    writeMadeImages(join(folder, 'data'), 40, 1);
  });
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  const VALUE = {
    model: { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4, choices: 3, timeSteps: 7 },
    batchSize: 8,
    epochs: 2,
    flips: true,
    seed: 2 ** 40 + 3,
    scheduledSampling: { from: 0.5, to: 0.9 },
    loss: { spikeCost: 1e-4 },
    optimizer: { schedule: 'cosine' },
    curriculum: [{ until: 1, timeSteps: 6 }],
  };

  function runPython(script: string, ...args: string[]): { status: number | null; output: string } {
    const env = { ...process.env, ...environment };
    const child = spawnSync(python, [join(FOLDER, script), ...args], { encoding: 'utf8', env });
    return { status: child.status, output: `${child.stdout}${child.stderr}` };
  }

  const SHAPE = { imageSize: 8, hiddenChannels: [4, 6], latentChannels: 4 };
  /** Runs that both trainers do, by the kind of their network. */
  const RUNS = {
    fsvae: VALUE,
    vae: {
      kind: 'vae',
      model: SHAPE,
      batchSize: 8,
      epochs: 2,
      flips: true,
      seed: 5,
      optimizer: { schedule: 'linear' },
    },
    autoencoder: { kind: 'autoencoder', model: SHAPE, batchSize: 8, epochs: 2, seed: 2 ** 33 },
  } as const;
  type Kind = keyof typeof RUNS;

  function trainPython(kind: Kind, out: string, ...more: string[]): void {
    const config = join(folder, 'config.json');
    writeFileSync(config, JSON.stringify(RUNS[kind]));
    const data = ['--data', join(folder, 'data'), '--out', join(folder, out), '--threads', '1'];
    const { status, output } = runPython('train.py', '--config', config, ...data, ...more);
    expect(status, output).to.equal(0);
  }

  async function trainHere(kind: Kind, out: string, steps: number, resume = false): Promise<void> {
    const images = openImages(join(folder, 'data'), 'train', { channels: 1, size: 8 });
    const config = parseNetworkConfig(RUNS[kind], 'tiny');
    const quiet = { stream: new PassThrough(), say: () => undefined };
    await train({ config, images, out: join(folder, out), resume, steps, ...quiet });
  }

  /** An exact number of a step's losses, or one that rounding may change. */
  const EXACT = ['step', 'epoch', 'timeSteps', 'spikes'];
  type Line = Record<string, number>;

  function logged(out: string): Line[] {
    const text = readFileSync(join(folder, out, 'log.jsonl'), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  }

  function expectSameRun(out: string, reference: string): void {
    const lines = logged(out);
    expect(lines.length).to.equal(10);
    logged(reference).forEach((line, i) => {
      expect(Object.keys(lines[i])).to.have.members(Object.keys(line));
      for (const [key, value] of Object.entries(line)) {
        if (key === 'imagesPerSecond') continue;
        const tolerance = EXACT.includes(key) ? 1e-3 : 2e-5 * Math.abs(value);
        expect(lines[i][key], `${key} of step ${i + 1}`).to.be.closeTo(value, tolerance);
      }
    });
    for (const name of ['checkpoint.safetensors', 'model.safetensors']) {
      const [own, other] = [out, reference].map((run) => parseSafetensors(readFileSync(join(folder, run, name))));
      expect([...own.tensors.keys()].sort()).to.deep.equal([...other.tensors.keys()].sort());
      for (const [tensor, { dtype, shape, data }] of other.tensors) {
        const found = own.tensors.get(tensor)!;
        expect([found.dtype, found.shape], tensor).to.deep.equal([dtype, shape]);
        if (dtype !== 'F32') continue;
        const [a, b] = [found.data, data].map(floats);
        // A mean of gradients may cancel: what it is compared with is the size of the gradients.
        const squares = other.tensors.get(tensor.replace('optimizer.first', 'optimizer.second'))!.data;
        const scale = tensor.startsWith('optimizer.first')
          ? Math.sqrt(Math.max(...floats(squares)))
          : Math.max(...b.map(Math.abs));
        b.forEach((value, i) => expect(a[i], `${tensor}[${i}]`).to.be.closeTo(value, 1e-3 * scale + 1e-12));
      }
      const { metadata } = own;
      for (const key of ['format', 'version', 'images']) expect(metadata[key]).to.equal(other.metadata[key]);
      expect(JSON.parse(metadata['config'])).to.deep.equal(JSON.parse(other.metadata['config']));
    }
  }

  for (const kind of Object.keys(RUNS) as Kind[]) {
    it(`${kind}: both trainers have the same losses, spikes, weights, moments and files`, async () => {
      await trainHere(kind, `${kind}-here`, 10);
      trainPython(kind, `${kind}-python`);
      expectSameRun(`${kind}-python`, `${kind}-here`);
    });

    it(`${kind}: each goes on with the checkpoint of the other`, async () => {
      await trainHere(kind, `${kind}-both`, 3);
      trainPython(kind, `${kind}-both`, '--resume', '--steps', '7');
      await trainHere(kind, `${kind}-both`, 10, true);
      expectSameRun(`${kind}-both`, `${kind}-here`);
    });
  }

  it('the neurons as separate operations: the same run as with those of lif.c', () => {
    environment = { FSVAE_FUSED: '0' };
    trainPython('fsvae', 'fsvae-separate');
    expectSameRun('fsvae-separate', 'fsvae-here');
  });

  for (const type of ['float32', 'bfloat16']) {
    it(`in ${type} lif.c and the separate operations give the same spikes and gradients`, () => {
      const script = `import json, sys; sys.path.insert(0, ${JSON.stringify(FOLDER)})
import fused, torch
from neurons import Neuron, SpikingFunction, weighted_time_sum
torch.manual_seed(3)
T, found, usual = 5, [], fused.available
for shape, constant in (((T * 3, 7), False), ((3, 6, 8, 8), True), ((T * 2, 24, 4, 8), False)):
    x = torch.randn(shape).to(torch.${type})
    x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
    gamma, beta = torch.rand(shape[1]) + 0.5, torch.randn(shape[1]) / 4
    spread = torch.randn(shape[0] * (T if constant else 1), *shape[1:]).to(x.dtype)
    for available in (True, False):
        fused.available = usual if available else lambda x: False
        leaves = [tensor.clone().requires_grad_() for tensor in (x, gamma, beta)]
        spikes, mean, variance, count = SpikingFunction.apply(*leaves, 1.0, T, constant, Neuron(0.25, 0.3, 0.3, 0.5, 1.0), 1e-3)
        loss = (spikes * spread).sum()
        if x.dim() == 4: loss = loss + weighted_time_sum(spikes, torch.pow(0.8, torch.arange(T - 1, -1, -1))).square().mean().to(x.dtype)
        loss.backward()
        assert int(count) == int(spikes.count_nonzero())
        numbers = [mean, variance, *(leaf.grad for leaf in leaves)]
        found.append([fused.available(x), spikes.flatten().tolist(), [n.float().flatten().tolist() for n in numbers]])
print(json.dumps(found))`;
      const child = spawnSync(python, ['-c', script], { encoding: 'utf8' });
      expect(child.status, child.stderr).to.equal(0);
      const found = JSON.parse(child.stdout) as [boolean, number[], number[][]][];
      expect(found.map(([compiled]) => compiled)).to.deep.equal([true, false, true, false, true, false]);
      // A gradient is rounded to its type: 8 bits of bfloat16.
      const tolerance = type === 'bfloat16' ? 2 ** -7 : 1e-5;
      for (let i = 0; i < found.length; i += 2) {
        const [[, spikes, numbers], [, otherSpikes, others]] = [found[i], found[i + 1]];
        expect(spikes).to.deep.equal(otherSpikes);
        expect(new Set(spikes)).to.deep.equal(new Set([0, 1]));
        others.forEach((list, j) => {
          const largest = Math.max(...list.map(Math.abs));
          list.forEach((n, k) => expect(numbers[j][k], `${i}: ${j}, ${k}`).to.be.closeTo(n, tolerance * largest));
        });
      }
    });
  }

  it('without a compiler that works it says so once and trains', () => {
    environment = { CC: join(folder, 'no-compiler') };
    const config = join(folder, 'config.json');
    writeFileSync(config, JSON.stringify(VALUE));
    const where = ['--config', config, '--data', join(folder, 'data'), '--out', join(folder, 'uncompiled')];
    const { status, output } = runPython('train.py', ...where, '--threads', '1', '--steps', '2');
    expect(status, output).to.equal(0);
    expect(
      output.match(/^note: \S+no-compiler does not run \(.*\), so the neurons run as separate operations/gm),
    ).to.have.length(1);
  });

  it("record.py writes a recorded run that check finds equal to the importer's network", () => {
    const checkpoint = join(folder, 'fsvae-python', 'model.safetensors');
    const vectors = join(folder, 'vectors.npz');
    const { status, output } = runPython('record.py', checkpoint, vectors, '--samples', '5', '--seed', '1');
    expect(status, output).to.equal(0);
    const model = readFloatModel(readCheckpoint(checkpoint));
    const report = checkRecordedRun(model, readNpz(vectors));
    expect(report.passed, formatCheckReport(report)).to.equal(true);
    expect(report.samples).to.equal(5);
    expect(report.layers.length, 'prior, decoder, readout').to.equal(7);
    expect(formatCheckReport(report)).to.include('prior.layers.2').and.include('counts by channel');
  });

  it('--from takes the shipped model, whose encoder has 16-bit floats', () => {
    const path = join(PACKAGE_ROOT, 'models', 'mnist', 'mnist.safetensors');
    const names = ['encoder.1.weight', 'posterior.layers.0.bn.running_var', 'decoder.0.weight'];
    const script = `import json, sys; sys.path.insert(0, ${JSON.stringify(FOLDER)})
from checkpoint import load_network, read_network
from config import parse_config
from networks import create_network
network = create_network(parse_config({}, "c"), 1)
load_network(network, read_network(sys.argv[1]), "c")
state = network.state_dict()
print(json.dumps([state[name].flatten()[:100].tolist() for name in sys.argv[2:]]))`;
    const child = spawnSync(python, ['-c', script, path, ...names], { encoding: 'utf8' });
    expect(child.status, child.stderr).to.equal(0);
    const { tensors } = readCheckpoint(path);
    const expected = names.map((name) => Array.from(tensors.get(name)!.data.slice(0, 100)));
    expect(JSON.parse(child.stdout)).to.deep.equal(expected);
  });

  it('both read the same images of the same classes', () => {
    const labels = Uint8Array.from({ length: 40 }, (_, i) => (i * i) % 7);
    writeFileSync(join(folder, 'data', 'train-labels-idx1-ubyte'), Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 40, ...labels));
    const names = ['', ':1', ':not1', ':2,4'].map((classes) => `${join(folder, 'data')}${classes}`);
    const script = `import json, sys; sys.path.insert(0, ${JSON.stringify(FOLDER)})
from data import fingerprint, open_images
print(json.dumps([fingerprint(open_images(name, "train", {"channels": 1, "imageSize": 8}, 9)) for name in sys.argv[1:]]))`;
    const child = spawnSync(python, ['-c', script, ...names], { encoding: 'utf8' });
    expect(child.status, child.stderr).to.equal(0);
    const here = names.map((name) => fingerprint(openImages(name, 'train', { channels: 1, size: 8, limit: 9 })));
    expect(new Set(here).size).to.equal(4);
    expect(JSON.parse(child.stdout)).to.deep.equal(here);
    const config = join(folder, 'classes.json');
    writeFileSync(config, JSON.stringify(VALUE));
    const where = ['--config', config, '--out', join(folder, 'none'), '--threads', '1'];
    const none = runPython('train.py', ...where, '--data', `${join(folder, 'data')}:3`);
    expect(none.output).to.match(/^error: \S+ has no image of that class: it has classes 0, 1, 2, 4\n$/);
  });

  it('refuses the configs that the TypeScript trainer refuses, by the same fields', () => {
    const values: object[] = [
      { batchSize: 1 },
      { batchSize: 2.5, epochs: 0 },
      { model: { timeSteps: 33 } },
      { model: { imageSize: 40, hiddenChannels: [4, 4, 4, 4] } },
      { model: { hiddenChannels: [] } },
      { model: { hiddenChannels: [4, 0] } },
      { model: { channels: 2 } },
      { model: 1 },
      { neuron: { tau: 0.3 } },
      { neuron: { surrogate: 'other' } },
      { optimizer: { learningRate: 2 } },
      { optimizer: { schedule: 'step' } },
      { flips: 1 },
      { scheduledSampling: { firstStep: -1 } },
      { curriculum: [{ until: 2, timeSteps: 17 }] },
      { curriculum: [{ until: 2 }] },
      {
        curriculum: [
          { until: 2, timeSteps: 4 },
          { until: 2, timeSteps: 8 },
        ],
      },
      {},
      { scheduledSampling: null, model: { imageSize: 16 } },
      VALUE,
      { kind: 'gan' },
      { kind: null },
      { kind: 'vae', model: { imageSize: 24 } },
      { kind: 'vae', epochs: 0, flips: 2 },
      { kind: 'autoencoder', batchSize: 1, optimizer: { schedule: 'step' } },
      { kind: 'vae' },
      RUNS.vae,
      RUNS.autoencoder,
    ];
    const script = `import json, sys; sys.path.insert(0, ${JSON.stringify(FOLDER)})
from config import parse_config
from errors import FsvaeError
def answer(value):
    try: return parse_config(value, "c")
    except FsvaeError as error: return str(error)
print(json.dumps([answer(value) for value in json.loads(sys.argv[1])]))`;
    const child = spawnSync(python, ['-c', script, JSON.stringify(values)], { encoding: 'utf8' });
    expect(child.status, child.stderr).to.equal(0);
    // `c: field: why; field: why; docs/training.md ...`
    const fields = (message: string): string[] =>
      message
        .replace(/^c: /, '')
        .split('; ')
        .slice(0, -1)
        .map((problem) => problem.split(':')[0]);
    (JSON.parse(child.stdout) as unknown[]).forEach((answer, i) => {
      let expected: unknown;
      try {
        expected = parseNetworkConfig(values[i], 'c');
      } catch (error) {
        expected = (error as FsvaeError).message;
      }
      if (typeof expected !== 'string') {
        expect(answer).to.deep.equal(expected);
        return;
      }
      expect(answer, JSON.stringify(values[i])).to.be.a('string');
      expect(fields(answer as string), JSON.stringify(values[i])).to.deep.equal(fields(expected)).and.not.empty;
    });
  });

  it('says what is wrong in one line, with the exit code of its kind', async () => {
    const missing = runPython('record.py', join(folder, 'none.pth'), join(folder, 'x.npz'));
    expect(missing.output).to.match(/^error: .*none\.pth: [^\n]+\n$/);
    expect(missing.status).to.equal(3);

    const config = join(folder, 'vae.json');
    writeFileSync(config, JSON.stringify(RUNS.vae));
    const where = ['--config', config, '--data', join(folder, 'data'), '--out', join(folder, 'bf16')];
    const bf16 = runPython('train.py', ...where, '--threads', '1', '--bf16');
    expect(bf16.output).to.equal('error: --bf16 is for an FSVAE, not for kind vae: leave it out\n');
    expect(bf16.status).to.equal(2);
  });

  for (const { kind, damaged, what } of [
    { kind: 'fsvae', damaged: 'posterior.layers.1.weight', what: 'the currents of posterior.layers.1' },
    { kind: 'vae', damaged: 'encoder.1.0.weight', what: 'the outputs of encoder.1.0' },
    { kind: 'vae', damaged: 'fc_var.bias', what: 'the outputs of fc_var' },
    { kind: 'autoencoder', damaged: 'final_layer.3.bias', what: 'the outputs of final_layer.3' },
  ] as const) {
    it(`${kind}: stops where ${what} are not finite`, async () => {
      const out = `diverges-${damaged}`;
      await trainHere(kind, out, 1);
      const path = join(folder, out, 'checkpoint.safetensors');
      const { tensors, metadata } = parseSafetensors(readFileSync(path));
      const { data } = tensors.get(damaged)!;
      new DataView(data.buffer, data.byteOffset).setFloat32(0, NaN, true);
      const bytes = encodeSafetensors(tensors, metadata);
      writeFileSync(path, bytes);
      const config = join(folder, 'config.json');
      writeFileSync(config, JSON.stringify(RUNS[kind]));
      const where = ['--config', config, '--data', join(folder, 'data'), '--out', join(folder, out)];
      const { status, output } = runPython('train.py', ...where, '--threads', '1', '--resume');
      const [, line] = output.split(/\n(?=error: )/);
      expect(line).to.match(/^[^\n]*lower optimizer\.learningRate[^\n]*\n$/);
      expect(line.startsWith(`error: ${what} are not finite at step 2 (epoch 1); `), line).to.equal(true);
      expect(status).to.equal(8);
      expect(readFileSync(path).equals(bytes), 'the checkpoint stays').to.equal(true);
    });
  }
});
