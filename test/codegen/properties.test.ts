import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { emitLibrary } from '../../codegen/emit/emit.js';
import { layerIdentifier } from '../../codegen/emit/c-text.js';
import { renderTemplate } from '../../codegen/emit/render.js';
import { packageTemplates } from '../../codegen/templates.js';
import { libraryView, printableName } from '../../codegen/emit/view.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { compilerExists, WARNINGS, writeLibrary } from '../support/host-library.js';
import { randomModel, SHAPES, TINY_SHAPE } from '../support/random-model.js';

const plan = makePlan(randomModel(31, TINY_SHAPE), 'tiny');
const OPTIONS = { generatorVersion: 'test', weights: 'array' } as const;

/** Section sizes and undefined symbols of the compiled library, by the binutils that come with any compiler. */
function inspectObject(folder: string, tool: string, args: string[]): string {
  const run = spawnSync(tool, args, { cwd: folder, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${tool}: ${run.stderr}`);
  return run.stdout;
}

describe('properties of the generated C, as the README promises them', () => {
  let folder: string;

  before(() => {
    folder = writeLibrary(plan);
    const run = spawnSync('gcc', [...WARNINGS, '-O2', '-ffreestanding', '-c', 'fsvae.c', '-o', 'fsvae.o'], {
      cwd: folder,
      encoding: 'utf8',
    });
    if (run.status !== 0) throw new Error(run.stderr);
  });
  after(() => rmSync(folder, { recursive: true }));

  const text = (): string =>
    ['.', 'kernels']
      .flatMap((sub) => readdirSync(join(folder, sub)).map((name) => join(folder, sub, name)))
      .filter((path) => /\.[ch]$/.test(path) && !path.endsWith('fsvae_weights.c'))
      .map((path) => readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\//g, ''))
      .join('\n');

  it('includes nothing but stddef.h and stdint.h: no stdio, no heap', () => {
    const includes = [...text().matchAll(/#include <(.+?)>/g)].map((match) => match[1]);
    expect([...new Set(includes)].sort()).to.deep.equal(['stddef.h', 'stdint.h']);
    expect(text()).to.not.match(/\b(malloc|calloc|realloc|free|printf|alloca)\b/);
  });

  it('has no floating point', () => {
    expect(text()).to.not.match(/\b(float|double)\b|\d\.\d|\d[eE][+-]?\d+f?\b(?!x)/);
    expect(inspectObject(folder, 'objdump', ['-d', 'fsvae.o'])).to.not.match(
      /\b(cvt|mulss|addss|mulsd|addsd|divs[sd])/,
    );
  });

  it('calls nothing outside itself but what the compiler itself may need', () => {
    const undefinedSymbols = inspectObject(folder, 'nm', ['-u', 'fsvae.o'])
      .split('\n')
      .map((line) => line.trim().split(' ').pop()!)
      .filter(Boolean);
    for (const symbol of undefinedSymbols)
      expect(symbol).to.match(/^(fsvae_weights|memcpy|memset|memmove|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail)$/);
  });

  it('has no recursion: its call graph has no circle', () => {
    // -O0, so that every function is still there; gcc writes the graph beside the object.
    const run = spawnSync('gcc', ['-O0', '-fcallgraph-info', '-c', 'fsvae.c', '-o', 'calls.o'], { cwd: folder });
    expect(run.status).to.equal(0);
    const graph = new Map<string, string[]>();
    for (const [, from, to] of readFileSync(join(folder, 'calls.ci'), 'utf8').matchAll(
      /edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"/g,
    )) {
      graph.set(from, [...(graph.get(from) ?? []), to]);
    }
    expect(graph.size).to.be.above(10);
    const circles = (name: string, path: readonly string[]): string[] =>
      path.includes(name) ? [name] : (graph.get(name) ?? []).flatMap((next) => circles(next, [...path, name]));
    expect([...graph.keys()].flatMap((name) => circles(name, []))).to.deep.equal([]);
  });

  it('exports nothing without the prefix fsvae_', () => {
    const symbols = inspectObject(folder, 'nm', ['-g', '--defined-only', 'fsvae.o']).split('\n').filter(Boolean);
    expect(symbols.length).to.be.at.least(4);
    for (const line of symbols) expect(line.split(' ').pop()).to.match(/^fsvae_/);
  });

  it('has no writable memory of its own: weights are const, state is in the arena', () => {
    const sections = inspectObject(folder, 'objdump', ['-h', 'fsvae.o']);
    for (const [, name, size] of sections.matchAll(/^ +\d+ (\S+) +([0-9a-f]{8})/gm)) {
      if (/^\.(data|bss)(?!\.rel\.ro)/.test(name)) expect(size, name).to.equal('00000000');
    }
    expect(text()).to.not.match(
      /^(static )?(?!const|typedef|extern|inline|enum)(u?int\d+_t|fsvae_\w+) \w+(\[[^\]]*\])? *(=|;)/m,
    );
  });

  it('asserts at compile time that the arena holds its buffers and the compiler shifts arithmetically', () => {
    expect(text()).to.match(/FSVAE_STATIC_ASSERT\(arena_size, FSVAE_ARENA_BYTES >= \d+\)/);
    const header = join(folder, 'fsvae.h');
    const original = readFileSync(header, 'utf8');
    writeFileSync(header, original.replace(/FSVAE_ARENA_BYTES \d+/, 'FSVAE_ARENA_BYTES 8'));
    const run = spawnSync('gcc', ['-c', 'fsvae.c', '-o', 'broken.o'], { cwd: folder, encoding: 'utf8' });
    writeFileSync(header, original);
    expect(run.status).to.not.equal(0);
    expect(run.stderr).to.match(/fsvae_assert_arena_size/);
  });

  it('carries the model hash in every banner, and no date, path or user', () => {
    for (const name of ['fsvae.h', 'fsvae.c', 'fsvae_weights.c']) {
      const content = readFileSync(join(folder, name), 'utf8');
      expect(content, name).to.include(plan.modelHash);
      expect(content, name).to.not.include(folder);
      expect(content, name).to.not.match(/\b20\d\d-\d\d|\/home\/|\/root\/|\/tmp\//);
    }
  });

  it('prints the proof of rule B, layer by layer', () => {
    const header = readFileSync(join(folder, 'fsvae.h'), 'utf8');
    for (const bounds of plan.bounds.layers) {
      expect(header).to.match(
        new RegExp(
          `${bounds.name} +${bounds.sum.min} \\.\\. ${bounds.sum.max} +${bounds.membrane.min} \\.\\. ${bounds.membrane.max} `,
        ),
      );
    }
  });

  it('is the same text for the same model', () => {
    const again = emitLibrary(makePlan(randomModel(31, TINY_SHAPE), 'tiny'), packageTemplates(), OPTIONS);
    for (const [path, content] of emitLibrary(plan, packageTemplates(), OPTIONS))
      expect(String(again.get(path)), path).to.equal(String(content));
  });

  it('returns negative errors for bad arguments and touches nothing', () => {
    const program = join(folder, 'errors');
    writeFileSync(
      join(folder, 'errors.c'),
      `#include "fsvae.h"
static uint64_t arena[FSVAE_ARENA_BYTES / 8 + 1];
int main(void)
{
    uint8_t image[FSVAE_IMAGE_BYTES] = {7};
    uint8_t latent[FSVAE_LATENT_BYTES] = {0};
    fsvae_monitor monitor = {0};
    monitor.probe_layer = -1;
    if (fsvae_sample(NULL, sizeof arena, 1, image, NULL) != FSVAE_ERROR_ARGUMENT) return 1;
    if (fsvae_sample(arena, sizeof arena, 1, NULL, NULL) != FSVAE_ERROR_ARGUMENT) return 2;
    if (fsvae_sample(arena, FSVAE_ARENA_BYTES - 1, 1, image, NULL) != FSVAE_ERROR_ARENA) return 3;
    if (fsvae_sample((char *)arena + 4, FSVAE_ARENA_BYTES, 1, image, NULL) != FSVAE_ERROR_ARENA) return 4;
    if (fsvae_decode(arena, sizeof arena, NULL, image, NULL) != FSVAE_ERROR_ARGUMENT) return 5;
    monitor.probe_layer = FSVAE_LAYERS;
    if (fsvae_sample(arena, sizeof arena, 1, image, &monitor) != FSVAE_ERROR_ARGUMENT) return 6;
    monitor.probe_layer = 0;
    monitor.probe_step = FSVAE_TIME_STEPS;
    if (fsvae_sample(arena, sizeof arena, 1, image, &monitor) != FSVAE_ERROR_ARGUMENT) return 7;
    if (image[0] != 7 || arena[0] != 0) return 8;
    return fsvae_decode(arena, FSVAE_ARENA_BYTES, latent, image, NULL) == FSVAE_OK ? 0 : 9;
}
`,
    );
    const built = spawnSync('gcc', [...WARNINGS, '-o', program, 'errors.c', 'fsvae.c', 'fsvae_weights.c'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(built.stderr).to.equal('');
    expect(spawnSync(program).status).to.equal(0);
  });

  for (const compiler of ['gcc', 'clang']) {
    const exists = compilerExists(compiler);
    (exists ? it : it.skip)(`${compiler} is silent at -O0 to -O3 with all warnings as errors, as C99`, function () {
      this.timeout(240_000);
      for (const shape of [
        SHAPES.tiny,
        SHAPES['int8 and int4 mixed'],
        SHAPES['T = 17, trains of 32 bits'],
        SHAPES['sums beyond 16 bits'],
      ]) {
        const other = writeLibrary(makePlan(randomModel(32, shape), 'shape'));
        for (const level of ['-O0', '-O1', '-O2', '-O3']) {
          for (const source of ['fsvae.c', 'fsvae_weights.c']) {
            const run = spawnSync(compiler, [...WARNINGS, level, '-c', source, '-o', 'x.o'], {
              cwd: other,
              encoding: 'utf8',
            });
            expect(run.stderr).to.equal('');
            expect(run.status).to.equal(0);
          }
        }
        rmSync(other, { recursive: true });
      }
    });
  }

  it('writes the constants in either form with the same bytes', function () {
    if (process.platform !== 'linux') this.skip();
    const bytes = (weights: 'array' | 'incbin'): Buffer => {
      const other = writeLibrary(plan, weights);
      const source = weights === 'array' ? 'fsvae_weights.c' : 'fsvae_weights.S';
      inspectObject(other, 'gcc', ['-c', source, '-o', 'w.o']);
      const section = weights === 'array' ? '.rodata' : '.rodata.fsvae_weights';
      inspectObject(other, 'objcopy', ['-O', 'binary', '-j', section, 'w.o', 'w.bin']);
      const content = readFileSync(join(other, 'w.bin'));
      rmSync(other, { recursive: true });
      return content;
    };
    expect(bytes('array').equals(bytes('incbin'))).to.equal(true);
  });
});

describe('templates', () => {
  it('refuse a field that the view lacks, and any helper beyond each, if, with', () => {
    const view = libraryView(plan, OPTIONS) as Record<string, unknown>;
    delete view.arenaBytes;
    expect(() => renderTemplate(packageTemplates(), 'library/fsvae.h.hbs', view)).to.throw(/arenaBytes/);
  });

  it('never write a name that could leave a C string, comment or identifier', () => {
    expect(printableName('a"; */ #include <x>\n')).to.equal('a__ __ _include _x__');
    expect(printableName('')).to.equal('model');
    expect(layerIdentifier('prior.layers.0')).to.equal('prior_layers_0');
    expect(layerIdentifier('int')).to.equal('layer_int');
    expect(layerIdentifier('z')).to.equal('layer_z');
    expect(layerIdentifier('fsvae_sample')).to.equal('layer_fsvae_sample');
    expect(() => layerIdentifier('a b')).to.throw(/cannot become a C identifier/);
  });
});
