import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect } from 'chai';
import { PACKAGE_ROOT } from '../codegen/package-root.js';

/**
 * Which folders a folder may import from, besides itself. One direction of flow: checkpoint, float model, integer
 * model, plan, C, image, board, comparison. CONTRIBUTING.md draws it.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'runtime-ts': [],
  boards: ['runtime-ts'],
  'codegen/checkpoint': ['runtime-ts'],
  'codegen/float': ['codegen/checkpoint', 'runtime-ts'],
  'codegen/quantize': ['codegen/float', 'runtime-ts'],
  'codegen/plan': ['runtime-ts'],
  'codegen/emit': ['codegen/plan', 'runtime-ts'],
  'codegen/image': ['boards', 'runtime-ts'],
  // codegen/project.ts, where plan, C and image meet; project-files.ts; and what reads the package's own files.
  codegen: ['codegen/emit', 'codegen/image', 'codegen/plan', 'boards', 'runtime-ts'],
  // The loader of a WebAssembly module is a part of what is generated, and runs here too.
  emulator: ['codegen/image', 'firmware-templates', 'runtime-ts'],
  harness: ['runtime-ts', 'boards'],
  flashing: ['codegen/image', 'harness', 'boards', 'runtime-ts'],
  report: ['codegen/emit', 'codegen/plan', 'codegen/quantize', 'codegen', 'boards', 'runtime-ts'],
  'training/random': [],
  'training/config': ['runtime-ts'],
  'training/data': ['training/random', 'runtime-ts'],
  'training/engine': ['runtime-ts'],
  // Fine-tuning computes in the integers that `quantize` makes: by the same functions, so that they cannot differ.
  'training/model': [
    'training/config',
    'training/engine',
    'training/random',
    'codegen/checkpoint',
    'codegen/float',
    'codegen/quantize',
    'runtime-ts',
  ],
  'training/page': [],
  // The networks without spikes, which share everything but the neurons.
  'training/baselines': [
    'training/config',
    'training/engine',
    'training/model',
    'training/random',
    'training/data',
    'runtime-ts',
  ],
  'training/train': [
    'training/baselines',
    'training/config',
    'training/data',
    'training/engine',
    'training/model',
    'training/page',
    'training/random',
    'codegen/checkpoint',
    'harness',
    'runtime-ts',
  ],
  'training/metrics': [
    'training/config',
    'training/data',
    'training/engine',
    'training/model',
    'training/baselines',
    'training/train',
    'codegen/checkpoint',
    'runtime-ts',
  ],
  'training/sweep': [
    'training/baselines',
    'training/config',
    'training/data',
    'training/engine',
    'training/metrics',
    'training/model',
    'training/train',
    'runtime-ts',
  ],
  cli: ['codegen/*', 'boards', 'harness', 'flashing', 'emulator', 'report', 'training/*', 'runtime-ts'],
  // What runs in a browser: page/ beside the user, workers/ beside the page.
  'playground/page': ['playground/workers', 'codegen/image', 'boards', 'harness', 'report', 'runtime-ts'],
  'playground/workers': [
    'playground/page',
    'codegen/*',
    'boards',
    'emulator',
    'firmware-templates',
    'report',
    'runtime-ts',
  ],
  'playground/build': ['cli', 'codegen', 'boards'],
  models: ['codegen', 'runtime-ts'],
  bench: ['*'],
  test: ['*'],
};

const TENSORFLOW = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'];

/** Packages of a folder's own choosing; Node's own modules are listed as `node:`. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  'runtime-ts': [],
  boards: ['node:', 'zod'],
  'codegen/checkpoint': ['node:', 'fflate'],
  'codegen/float': [],
  'codegen/quantize': [],
  'codegen/plan': [],
  'codegen/emit': ['handlebars'],
  'codegen/image': ['node:'],
  codegen: ['node:'],
  emulator: ['node:', 'rp2040js', '@lydell/node-pty'],
  harness: ['node:', 'serialport', 'pngjs', 'cli-progress', 'zod'],
  flashing: ['node:'],
  'training/random': [],
  'training/config': ['node:', 'zod'],
  'training/data': ['node:', 'jpeg-js', 'pngjs'],
  'training/engine': TENSORFLOW,
  'training/model': TENSORFLOW,
  'training/page': [],
  'training/baselines': TENSORFLOW,
  'training/train': ['node:', ...TENSORFLOW],
  'training/metrics': [...TENSORFLOW, 'ml-matrix', 'onnxruntime-web'],
  'training/sweep': ['node:'],
  report: [],
  cli: ['node:', 'commander'],
  'playground/page': [],
  'playground/workers': ['fflate'],
  'playground/build': ['node:'],
};

const TOP_FOLDERS = [
  'runtime-ts',
  'boards',
  'codegen',
  'emulator',
  'harness',
  'flashing',
  'cli',
  'report',
  'playground',
  'models',
  'bench',
  'training',
  'test',
];

interface Import {
  readonly file: string;
  readonly target: string;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(PACKAGE_ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(PACKAGE_ROOT, file), 'utf8');
  const found = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\('([^']+)'\)/g)];
  return found.map((match) => ({ file, target: match[1] ?? match[2] }));
}

/** What is left of a file's imports when types are gone. */
function valueImportsOf(file: string): string[] {
  const text = readFileSync(join(PACKAGE_ROOT, file), 'utf8');
  const found = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\s+(?!type\b)([^;]*?from\s+)?'([^']+)'/g)];
  return found.map((match) => match[2]);
}

/** A file without its comments. */
function codeOf(file: string): string {
  return readFileSync(join(PACKAGE_ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
}

/** Packages that run in a browser as they are. */
const BROWSER_PACKAGES = ['fflate', 'handlebars', 'rp2040js', 'zod'];

/** The rule's folder of a file: `codegen/plan` for codegen/plan/x.ts, `codegen` for codegen/project.ts. */
function ruleOf(file: string): string {
  const folder = dirname(file).split('/').slice(0, 2).join('/');
  return folder in MAY_IMPORT ? folder : file.split('/')[0];
}

const files = TOP_FOLDERS.filter((folder) => existsSync(join(PACKAGE_ROOT, folder))).flatMap(sourceFiles);
const imports = files.flatMap(importsOf);

describe('architecture', () => {
  it('has files to look at, and a rule for each of their folders', () => {
    expect(files.length).to.be.above(40);
    expect(imports.length).to.be.above(100);
    expect(files.filter((file) => !(ruleOf(file) in MAY_IMPORT))).to.deep.equal([]);
  });

  it('every npm script starts a program that there is', () => {
    const { scripts } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const started = Object.values(scripts).flatMap((script) => [...script.matchAll(/\bdist\/(\S+)\.js\b/g)]);
    expect(started.length).to.be.above(5);
    expect(started.map(([, path]) => `${path}.ts`).filter((path) => !files.includes(path))).to.deep.equal([]);
  });

  it('no import runs against the flow', () => {
    const against = imports
      .filter(({ target }) => target.startsWith('.'))
      .map(({ file, target }) => ({ file, to: relative(PACKAGE_ROOT, resolve(PACKAGE_ROOT, dirname(file), target)) }))
      .filter(({ file, to }) => {
        const from = ruleOf(file);
        const into = ruleOf(to);
        const allowed = MAY_IMPORT[from];
        const starred = allowed.some(
          (rule) => rule === '*' || (rule.endsWith('/*') && `${into}/`.startsWith(rule.slice(0, -1))),
        );
        return from !== into && !starred && !allowed.includes(into);
      })
      .map(({ file, to }) => `${file} imports ${to}`);
    expect(against).to.deep.equal([]);
  });

  it('no test file imports another, whose tests would then run twice', () => {
    const twice = imports.filter(({ target }) => target.endsWith('.test.js'));
    expect(twice.map(({ file, target }) => `${file} imports ${target}`)).to.deep.equal([]);
  });

  it('only the command line reaches the training, and loads it only when it is asked to train', () => {
    const reaching = imports.filter(
      ({ file, target }) => target.includes('/training/') && !/^(training|test|bench)\//.test(file),
    );
    const early = reaching.filter(({ file, target }) => {
      const text = readFileSync(join(PACKAGE_ROOT, file), 'utf8');
      return !text.includes(`await import('${target}')`);
    });
    expect(early.map(({ file, target }) => `${file} imports ${target}`)).to.deep.equal([]);
  });

  it('each folder uses only its own packages; the golden model uses none, not even Node', () => {
    const foreign = imports
      .filter(({ file, target }) => !target.startsWith('.') && ruleOf(file) in MAY_USE)
      .filter(({ file, target }) => {
        const allowed = MAY_USE[ruleOf(file)];
        return !allowed.some((name) => (name === 'node:' ? target.startsWith('node:') : target === name));
      })
      .map(({ file, target }) => `${file} uses ${target}`);
    expect(foreign).to.deep.equal([]);
  });

  it('what the page loads, directly or by way of others, needs no Node', () => {
    const byFile = new Map(files.map((file) => [file, valueImportsOf(file)]));
    const seen = new Set<string>();
    const needing: string[] = [];
    const visit = (file: string, from: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const target of byFile.get(file) ?? []) {
        if (target.startsWith('.')) {
          visit(relative(PACKAGE_ROOT, resolve(PACKAGE_ROOT, dirname(file), target)).replace(/\.js$/, '.ts'), file);
        } else if (!BROWSER_PACKAGES.includes(target)) needing.push(`${file} (from ${from}) uses ${target}`);
      }
    };
    const roots = files.filter((file) => /^playground\/(page|workers)\//.test(file));
    expect(roots.length).to.be.above(8);
    for (const file of roots) visit(file, 'the page');
    expect(needing).to.deep.equal([]);
    // The emulator, code generation and quantization are among them: the page has no second ones.
    expect([...seen]).to.include.members([
      'emulator/rp2040.ts',
      'codegen/emit/emit.ts',
      'codegen/quantize/quantize.ts',
    ]);
    const node = /\b(Buffer|process|require|__dirname)\b\s*[.([]|\bsetImmediate\(/;
    const naming = [...seen].filter((file) => node.test(codeOf(file)));
    expect(naming).to.deep.equal([]);
  });

  it('no file imports itself by way of others', () => {
    const graph = new Map(files.map((file) => [file, [] as string[]]));
    for (const { file, target } of imports) {
      if (!target.startsWith('.')) continue;
      const to = relative(PACKAGE_ROOT, resolve(PACKAGE_ROOT, dirname(file), target)).replace(/\.js$/, '.ts');
      graph.get(file)!.push(to);
    }
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).to.deep.equal([]);
  });

  it('the golden model touches nothing that a browser lacks', () => {
    const suspicious = /\b(Buffer|process|require|__dirname|globalThis|window|document)\b\s*[.([]/;
    const found = sourceFiles('runtime-ts').filter((file) => {
      const code = readFileSync(join(PACKAGE_ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      return suspicious.test(code);
    });
    expect(found).to.deep.equal([]);
  });

  it('no template computes: no arithmetic, and only the helpers each, if, with', () => {
    const templates = (folder: string): string[] =>
      readdirSync(join(PACKAGE_ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        return entry.isDirectory() ? templates(path) : entry.name.endsWith('.hbs') ? [path] : [];
      });
    const found = templates('firmware-templates');
    expect(found.length).to.be.above(4);
    for (const file of found) {
      const text = readFileSync(join(PACKAGE_ROOT, file), 'utf8');
      for (const [tag, inner] of text.matchAll(/\{\{([^}]*)\}\}/g)) {
        expect(inner, `${file}: ${tag}`).to.match(
          /^(#(each|if|with) [A-Za-z.]+|\/(each|if|with)|else|(\.\.\/)?[A-Za-z][A-Za-z.]*|this)$/,
        );
      }
    }
  });
});
