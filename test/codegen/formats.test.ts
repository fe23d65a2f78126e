import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { loadBoard } from '../../boards/board.js';
import { type Format, formatFiles, formatNames, FORMATS, GOLDEN_SEEDS, writeFormat } from '../../codegen/formats.js';
import { makePlan } from '../../codegen/plan/plan.js';
import { crc32 } from '../../runtime-ts/crc32.js';
import { FsvaeError } from '../../runtime-ts/errors.js';
import { buildDriver, compilerExists, runDriver, WARNINGS, writeFiles } from '../support/host-library.js';
import { shipped, wholeTiny } from '../support/shipped.js';

const tiny = () => shipped('tiny');

/** What an example says of a golden image that was drawn right. */
function exactLines(): string[] {
  return GOLDEN_SEEDS.map((seed) => {
    const crc = crc32(tiny().golden.sample(seed)).toString(16).padStart(8, '0');
    return `seed ${seed}: image CRC-32 ${crc}, golden model's ${crc}: bit-exact`;
  });
}

function textOf(files: ReturnType<typeof formatFiles>, path: string): string {
  const content = files.get(path);
  expect(content, path).to.be.a('string');
  return content as string;
}

describe('project formats', function () {
  this.timeout(120_000);
  let folder: string;

  before(() => (folder = mkdtempSync(join(tmpdir(), 'fsvae-formats-'))));
  after(() => rmSync(folder, { recursive: true }));

  /** A project on disk, in a folder of its own. */
  function written(format: Format, weights?: 'incbin' | 'array'): { root: string; paths: string[] } {
    const root = mkdtempSync(join(folder, `${format}-`));
    const files = formatFiles(tiny().plan, format, weights === undefined ? {} : { weights });
    writeFiles(root, files);
    return { root, paths: [...files.keys()] };
  }

  function quiet(program: string, args: readonly string[], cwd: string): string {
    const run = spawnSync(program, args, { cwd, encoding: 'utf8' });
    if (run.status !== 0 || run.stderr !== '') {
      throw new Error(`${program} ${args.join(' ')}: ${run.status}\n${run.stdout}\n${run.stderr}`);
    }
    return run.stdout;
  }

  for (const format of FORMATS) {
    describe(format, () => {
      it('stays in its folder, has a README, and gives the same bytes every time', () => {
        const files = formatFiles(tiny().plan, format);
        expect(files.has('README.md')).to.equal(true);
        for (const path of files.keys()) {
          expect(path).to.match(/^[A-Za-z][A-Za-z0-9_.-]*(\/[A-Za-z][A-Za-z0-9_.-]*)*$/);
          expect(path).to.not.match(/\.hbs$/);
        }
        expect([...formatFiles(tiny().plan, format)]).to.deep.equal([...files]);
      });

      it('has the library once, byte for byte that of the other formats', () => {
        const files = formatFiles(tiny().plan, format);
        const weights = [...files.keys()].some((path) => path.endsWith('fsvae_weights.S')) ? 'incbin' : 'array';
        const plain = formatFiles(tiny().plan, 'plain', { weights });
        const library = [...plain.keys()].filter((path) => /^(fsvae|kernels\/)/.test(path));
        expect(library.length).to.be.above(15);
        for (const path of library) {
          const here = [...files.keys()].filter((name) => name === path || name.endsWith(`/${path}`));
          expect(here, path).to.have.length(1);
          expect(Buffer.from(files.get(here[0])!).equals(Buffer.from(plain.get(path)!)), path).to.equal(true);
        }
      });

      it('has an example that draws the golden images bit by bit, here', function () {
        if (!compilerExists('gcc')) this.skip();
        const { root, paths } = written(format, format === 'arduino' || format === 'platformio' ? 'array' : undefined);
        const library = dirname(paths.find((path) => basename(path) === 'fsvae.h')!);
        const isLibrary = (path: string): boolean => library === '.' || path.startsWith(`${library}/`);
        const sources = paths.filter((path) => /\.[cS]$/.test(path) && isLibrary(path) && !/example/.test(path));
        let main = paths.find((path) => /(^|\/)(main|example)\.c$/.test(path));
        if (format === 'arduino') {
          // Its own example is a sketch, which needs a core; the library is the same, so another format's program serves.
          main = 'main.c';
          writeFileSync(join(root, main), formatFiles(tiny().plan, 'plain').get('example.c')!);
        }
        if (format === 'esp-idf') {
          writeFileSync(
            join(root, 'entry.c'),
            'void app_main(void);\nint main(void)\n{\n    app_main();\n    return 0;\n}\n',
          );
          sources.push('entry.c');
        }
        const warnings = WARNINGS.filter((flag) => format !== 'esp-idf' || flag !== '-Wmissing-prototypes');
        // Only the library's folder is on the include path, as each of these build systems has it.
        quiet('gcc', [...warnings, '-O2', `-I${library}`, '-o', 'example-program', ...sources, main!], root);
        const said = quiet(join(root, 'example-program'), [], root);
        expect(said.split('\n').filter((line) => line.startsWith('seed '))).to.deep.equal(exactLines());
        expect(said).to.include(`FSVAE tiny, hash ${tiny().plan.modelHash.slice(0, 16)}\n`);

        if (format !== 'plain') return; // the others have the same library, byte for byte
        const driver = buildDriver(root, 'gcc', ['-O2']);
        const images = runDriver(driver, 0n, 8, 'image');
        const expected = Buffer.concat(Array.from({ length: 8 }, (_, i) => tiny().golden.sample(BigInt(i))));
        expect(Buffer.from(images).equals(expected)).to.equal(true);
      });
    });
  }

  describe('cmake', () => {
    before(function () {
      if (!compilerExists('cmake') || !compilerExists('gcc')) this.skip();
    });

    it('is configured, built and run by CMake without the pico-sdk, and built again when the constants change', () => {
      const { root } = written('cmake');
      quiet('cmake', ['-S', '.', '-B', 'b', '-DCMAKE_C_FLAGS=-Wall -Wextra -Werror'], root);
      quiet('cmake', ['--build', 'b'], root);
      expect(quiet(join(root, 'b/example/fsvae_tiny'), [], root)).to.include(exactLines().at(-1));
      const constants = Buffer.from(formatFiles(tiny().plan, 'cmake').get('fsvae/fsvae_weights.bin')!);
      constants.fill(0);
      writeFileSync(join(root, 'fsvae/fsvae_weights.bin'), constants);
      expect(quiet('cmake', ['--build', 'b'], root)).to.match(/Building ASM object fsvae\/.*fsvae_weights\.S\.o/);
      const changed = spawnSync(join(root, 'b/example/fsvae_tiny'), { encoding: 'utf8' });
      expect(changed.stdout).to.include(': DIFFERS\n');
      expect(changed.status).to.equal(GOLDEN_SEEDS.length);
    });

    it('has its library built for a Cortex-M0+ and a Cortex-M4 by the compiler that the pico-sdk uses', function () {
      if (!compilerExists('arm-none-eabi-gcc')) this.skip();
      const { root } = written('cmake');
      for (const core of ['cortex-m0plus', 'cortex-m4']) {
        const cross = ['SYSTEM_NAME=Generic', 'C_COMPILER=arm-none-eabi-gcc', 'C_COMPILER_WORKS=1']
          .concat(['TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY'])
          .concat(['C', 'ASM'].map((language) => `${language}_FLAGS=-mcpu=${core} -mthumb`));
        quiet('cmake', ['-S', '.', '-B', core, ...cross.map((setting) => `-DCMAKE_${setting}`)], root);
        quiet('cmake', ['--build', core, '--target', 'fsvae'], root);
        const symbols = quiet('arm-none-eabi-nm', ['--defined-only', join(core, 'fsvae/libfsvae.a')], root);
        expect(symbols).to.match(/ T fsvae_sample\n/);
        expect(symbols).to.match(core === 'cortex-m4' ? / T fsvae_run_wide_/ : / T fsvae_sum_bytes\n/);
      }
    });

    it('asks of the pico-sdk what its documentation says, before project()', () => {
      const text = textOf(formatFiles(tiny().plan, 'cmake'), 'CMakeLists.txt');
      const order = [
        'pico_sdk_init.cmake',
        'project(fsvae_tiny C CXX ASM)',
        'pico_sdk_init()',
        'add_subdirectory(example)',
      ];
      const places = order.map((part) => text.indexOf(part));
      expect(places).to.deep.equal([...places].sort((a, b) => a - b));
      expect(places[0]).to.be.above(0);
      const example = textOf(formatFiles(tiny().plan, 'cmake'), 'example/CMakeLists.txt');
      for (const call of ['pico_enable_stdio_usb(fsvae_tiny 1)', 'pico_add_extra_outputs(fsvae_tiny)']) {
        expect(example).to.include(call);
      }
      // One context, nothing else that lives longer than a call.
      const program = textOf(formatFiles(tiny().plan, 'cmake'), 'example/pico.c');
      expect(program.match(/^\s*static [^(]*;$/gm)).to.deep.equal(['    static context only;']);
      expect(program).to.not.match(/sleep_|while \(/);
    });
  });

  describe('arduino', () => {
    const cores: [name: string, compiler: string, flags: string[]][] = [
      ['SAMD21 and RP2040 (Cortex-M0+)', 'arm-none-eabi', ['-mcpu=cortex-m0plus', '-mthumb']],
      ['Due, STM32F1 (Cortex-M3)', 'arm-none-eabi', ['-mcpu=cortex-m3', '-mthumb']],
      [
        'Nano 33 BLE, UNO R4 (Cortex-M4F)',
        'arm-none-eabi',
        ['-mcpu=cortex-m4', '-mthumb', '-mfpu=fpv4-sp-d16', '-mfloat-abi=hard'],
      ],
      [
        'Teensy 4, Portenta (Cortex-M7)',
        'arm-none-eabi',
        ['-mcpu=cortex-m7', '-mthumb', '-mfpu=fpv5-d16', '-mfloat-abi=hard'],
      ],
      ['Pico 2 (Cortex-M33)', 'arm-none-eabi', ['-mcpu=cortex-m33', '-mthumb']],
      ['ESP32-C3 (RV32IMC)', 'riscv64-unknown-elf', ['-march=rv32imc', '-mabi=ilp32']],
    ];
    for (const [name, prefix, flags] of cores) {
      it(`has sources that the compiler of ${name} takes, by the layout's include rules`, function () {
        if (!compilerExists(`${prefix}-gcc`)) this.skip();
        const { root, paths } = written('arduino');
        // Arduino compiles every source below src/, each by its extension, with src/ alone on the include path.
        for (const path of paths.filter((path) => /^src\/.*\.[cS]$/.test(path))) {
          const language = path.endsWith('.c') ? ['-std=gnu11'] : ['-x', 'assembler-with-cpp'];
          const args = [...flags, ...language, '-Os', '-Wall', '-Werror', '-ffreestanding', '-Isrc', '-c', path];
          quiet(`${prefix}-gcc`, [...args, '-o', `${basename(path)}.o`], root);
        }
        // What a sketch includes, as C++.
        writeFileSync(join(root, 'sketch.cpp'), '#include <fsvae.h>\n#include <fsvae_golden.h>\n');
        if (compilerExists(`${prefix}-g++`)) {
          const args = [...flags, '-std=gnu++17', '-Wall', '-Werror', '-ffreestanding', '-Isrc', '-c', 'sketch.cpp'];
          quiet(`${prefix}-g++`, args, root);
        }
      });
    }

    it('has properties as the library specification wants them', () => {
      const text = textOf(formatFiles(tiny().plan, 'arduino'), 'library.properties');
      const properties = new Map(
        text
          .trimEnd()
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      );
      for (const name of [
        'name',
        'version',
        'author',
        'maintainer',
        'sentence',
        'paragraph',
        'category',
        'url',
        'architectures',
      ]) {
        expect(properties.get(name), name).to.be.a('string').and.not.equal('');
      }
      expect(properties.get('name')).to.match(/^[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}$/);
      expect(properties.get('version')).to.match(/^\d+\.\d+\.\d+$/);
      expect(properties.get('category')).to.equal('Data Processing');
      expect(properties.get('architectures')).to.match(/^\w+(,\w+)*$/);
    });

    it('has a sketch named like its folder', () => {
      const files = formatFiles(tiny().plan, 'arduino');
      const sketches = [...files.keys()].filter((path) => path.endsWith('.ino'));
      expect(sketches).to.deep.equal(['examples/Draw/Draw.ino']);
    });

    it('refuses constants by incbin: nobody tells the assembler where a library lies', () => {
      for (const format of ['arduino', 'platformio'] as const) {
        const refused = (): unknown => formatFiles(tiny().plan, format, { weights: 'incbin' });
        expect(refused).to.throw(FsvaeError, `${format} projects take constants as array, not as incbin`);
      }
    });
  });

  describe('platformio', () => {
    it('has a manifest with the fields that a package needs, and examples that exist', () => {
      const files = formatFiles(tiny().plan, 'platformio');
      const manifest = JSON.parse(textOf(files, 'library.json')) as {
        name: string;
        version: string;
        headers: string[];
        examples: { base: string; files: string[] }[];
      };
      expect(manifest.name)
        .to.match(/^[a-z0-9]+(-[a-z0-9]+)*$/)
        .and.have.length.below(51);
      expect(manifest.version).to.match(/^\d+\.\d+\.\d+$/);
      for (const header of manifest.headers) expect(files.has(`src/${header}`)).to.equal(true);
      for (const { base, files: names } of manifest.examples) {
        for (const name of names) expect(files.has(`${base}/${name}`), name).to.equal(true);
      }
    });

    it('has an example project whose environments each compile one of its programs', () => {
      const files = formatFiles(tiny().plan, 'platformio');
      const text = textOf(files, 'examples/draw/platformio.ini');
      const filters = [...text.matchAll(/build_src_filter = \+<(.+)>/g)].map((match) => match[1]);
      expect(filters).to.deep.equal(['main.c', 'main.cpp']);
      for (const name of filters) expect(files.has(`examples/draw/src/${name}`)).to.equal(true);
      for (const [, name] of text.matchAll(/^\[env:(.+)\]$/gm)) {
        const section = text.slice(text.indexOf(`[env:${name}]`)).split(/\n\[/)[0];
        expect(section, name).to.match(/\nplatform = \w+/);
        if (name !== 'native')
          expect(section, name)
            .to.match(/\nextends = arduino\n/)
            .and.match(/\nboard = \w/);
      }
    });
  });

  /** Sources that a CMake file names, as paths of the project. */
  function namedSources(text: string, prefix: string): string[] {
    return [...text.matchAll(/^\s*"?(?:\$\{FSVAE_FOLDER\}\/)?([\w/]+\.[cS])"?$/gm)].map((match) => prefix + match[1]);
  }

  describe('zephyr', () => {
    it('is a module whose build files, sources and samples are where zephyr/module.yml says', () => {
      const files = formatFiles(tiny().plan, 'zephyr');
      const text = textOf(files, 'zephyr/module.yml');
      expect(text).to.match(
        /^name: fsvae_tiny\nbuild:\n {2}cmake: zephyr\n {2}kconfig: zephyr\/Kconfig\nsamples:\n {2}- samples\n$/m,
      );
      for (const path of [
        'zephyr/CMakeLists.txt',
        'zephyr/Kconfig',
        'samples/draw/sample.yaml',
        'samples/draw/prj.conf',
      ]) {
        expect(files.has(path), path).to.equal(true);
      }
      const sources = namedSources(textOf(files, 'zephyr/CMakeLists.txt'), 'src/');
      expect(sources.sort()).to.deep.equal([...files.keys()].filter((path) => /^src\/.*\.[cS]$/.test(path)).sort());
      // Kconfig's grammar: tabs, and help text deeper than its keyword.
      expect(textOf(files, 'zephyr/Kconfig')).to.match(/\nconfig FSVAE\n\tbool ".+"\n\thelp\n(\t {2}.+\n)+$/);
      expect(textOf(files, 'samples/draw/CMakeLists.txt')).to.match(
        /ZEPHYR_EXTRA_MODULES \$\{CMAKE_CURRENT_SOURCE_DIR\}\/\.\.\/\.\.\)\nfind_package\(Zephyr REQUIRED HINTS \$ENV\{ZEPHYR_BASE\}\)\nproject/,
      );
    });

    it('has a sample whose expected output is what the example says', () => {
      const text = textOf(formatFiles(tiny().plan, 'zephyr'), 'samples/draw/sample.yaml');
      const patterns = [...text.matchAll(/^ {6}- "(.+)"$/gm)].map((match) => new RegExp(match[1]));
      expect(patterns).to.have.length(GOLDEN_SEEDS.length);
      for (const [i, line] of exactLines().entries()) expect(line).to.match(patterns[i]);
    });
  });

  describe('esp-idf', () => {
    it('is a component that registers sources that exist, none of them for another core', () => {
      const files = formatFiles(tiny().plan, 'esp-idf');
      const sources = namedSources(textOf(files, 'CMakeLists.txt'), '');
      expect(sources.sort()).to.deep.equal(['fsvae.c', 'fsvae_golden.c', 'fsvae_weights.S']);
      for (const path of sources) expect(files.has(path), path).to.equal(true);
      const manifest = textOf(files, 'idf_component.yml');
      expect(manifest)
        .to.match(/^version: "\d+\.\d+\.\d+"$/m)
        .and.match(/^ {2}- path: examples\/draw$/m);
    });

    it('compiles for the ESP32-C3', function () {
      if (!compilerExists('riscv64-unknown-elf-gcc')) this.skip();
      const { root } = written('esp-idf');
      for (const path of ['fsvae.c', 'fsvae_golden.c', 'fsvae_weights.S']) {
        const args = [
          '-march=rv32imc',
          '-mabi=ilp32',
          '-O2',
          '-Wall',
          '-Wextra',
          '-Werror',
          '-ffreestanding',
          '-I.',
          '-c',
          path,
        ];
        quiet('riscv64-unknown-elf-gcc', args, root);
      }
    });

    for (const id of ['tiny', 'mnist'] as const) {
      it(`has a partition for the constants of ${id}, aligned, in the flash that it asks for`, () => {
        const files = formatFiles(shipped(id).plan, 'esp-idf');
        const table = textOf(files, 'examples/draw/partitions.csv')
          .split('\n')
          .filter((line) => /^\w/.test(line));
        const rows = table.map((line) => line.split(/,\s*/));
        const app = rows.find(([name]) => name === 'factory')!;
        const [offset, size] = [Number(app[3]), Number(app[4])];
        expect(offset % 0x10000).to.equal(0);
        expect(size % 0x10000).to.equal(0);
        expect(size).to.be.above(4 * shipped(id).plan.weights.words.length + 256 * 1024);
        const flash = /CONFIG_ESPTOOLPY_FLASHSIZE_(\d+)MB=y/.exec(textOf(files, 'examples/draw/sdkconfig.defaults'))!;
        expect(offset + size).to.be.at.most(Number(flash[1]) << 20);
        for (const [i, row] of rows.entries()) {
          if (i > 0) expect(Number(row[3])).to.be.at.least(Number(rows[i - 1][3]) + Number(rows[i - 1][4]));
        }
      });
    }
  });

  describe('encoder and posterior', () => {
    for (const format of FORMATS) {
      it(`are files of a ${format} project like any other, and all there is beside them stays`, () => {
        const [alone, whole] = [wholeTiny().plan, tiny().plan]
          .map(({ model, modelName, encoder }) => formatFiles(makePlan(model, modelName, { encoder }), format))
          .reverse();
        const added = [...whole.keys()].filter((path) => !alone.has(path)).map((path) => basename(path));
        expect(added.filter((name) => !/^fsvae_encoder_weights\.(bin|S|c)$/.test(name))).to.deep.equal([
          'fsvae_encoder.h',
        ]);
        expect(added.length).to.be.within(2, 3);
        expect([...alone.keys()].every((path) => whole.has(path))).to.equal(true);
        const named = [...whole].filter(([, text]) => typeof text === 'string' && text.includes('fsvae_weights.'));
        for (const [path, text] of named) {
          if (/fsvae_weights\.|fsvae\.[ch]$/.test(path)) continue;
          expect(text, path).to.include('fsvae_encoder_weights.'); // where the one's file is named, so is the other's
        }
      });
    }

    it('compute in a plain project', () => {
      const { plan, encoder, golden } = wholeTiny();
      const root = mkdtempSync(join(folder, 'whole-'));
      writeFiles(root, formatFiles(plan, 'plain'));
      const image = golden.sample(0n);
      const encoded = runDriver(buildDriver(root, 'gcc', ['-O2']), 3n, 1, 'encode', image);
      expect(Buffer.compare(encoded.subarray(0, plan.latentBytes), encoder.encode(image, 3n))).to.equal(0);
    });
  });

  describe("a model's name", () => {
    const names: [title: string, name: string][] = [
      ['that climbs', '../../../etc/passwd'],
      ['with quotation marks', '"; system("x"); "'],
      ['that ends a comment', '*/ int evil; /*'],
      ['of another script', 'модель \u202e'],
      ['of CMake', '${PWD} $ENV{HOME} ) #'],
      ['of Handlebars', '{{banner}} {{{x}}}'],
      ['of YAML and Kconfig', 'a: b\n- c # "d"\tE'],
      ['that is a device of Windows', 'CON'],
      ['of dots', '..'],
      ['of nothing', ''],
      ['of blanks', '   '],
      ['without end', 'x'.repeat(500)],
      ['that begins with a digit', '4 bits'],
    ];
    for (const [title, name] of names) {
      it(`${title} cannot leave its place in any format`, () => {
        const { slug, identifier, title: shown } = formatNames(name);
        expect(slug)
          .to.match(/^fsvae(-[a-z0-9]+)+$/)
          .and.have.length.below(51);
        expect(identifier).to.match(/^fsvae(_[a-z0-9]+)+$/);
        expect(shown)
          .to.match(/^FSVAE [A-Za-z0-9 ._-]{1,32}$/)
          .and.not.match(/ $/);
        const hostile = { ...tiny().plan, modelName: name };
        for (const format of FORMATS) {
          const files = formatFiles(hostile, format);
          for (const [path, content] of files) {
            expect(path).to.match(/^[A-Za-z][A-Za-z0-9_.-]*(\/[A-Za-z][A-Za-z0-9_.-]*)*$/);
            // Nothing of it is left that the name's own characters could mean anything by.
            if (name.length > 4 && typeof content === 'string' && /[^A-Za-z0-9 ._-]/.test(name)) {
              expect(content, `${format} ${path}`).to.not.include(name);
            }
          }
        }
      });
    }

    it('that is hostile still compiles without a warning, and parses', function () {
      if (!compilerExists('gcc')) this.skip();
      const hostile = { ...tiny().plan, modelName: '*/ "\\ %s {{x}} ${Y}\n../ модель' };
      const root = mkdtempSync(join(folder, 'hostile-'));
      writeFiles(root, formatFiles(hostile, 'plain'));
      quiet(
        'gcc',
        [...WARNINGS, '-I.', '-o', 'example', 'example.c', 'fsvae.c', 'fsvae_golden.c', 'fsvae_weights.c'],
        root,
      );
      expect(quiet(join(root, 'example'), [], root)).to.include(exactLines()[0]);
      expect(() => JSON.parse(textOf(formatFiles(hostile, 'platformio'), 'library.json')) as unknown).to.not.throw();
    });
  });

  it('gives the fit answer for a board before anything is written', () => {
    const root = join(folder, 'unfit');
    const board = loadBoard('rp2040');
    const small = { ...board, memory: { ...board.memory!, flash: { origin: 0x10000000, bytes: 1 << 20 } } };
    expect(() => writeFormat(shipped('mnist').plan, small, 'zephyr', root)).to.throw(FsvaeError, 'does not fit');
    expect(existsSync(root)).to.equal(false);
    mkdirSync(root);
    expect(writeFormat(tiny().plan, undefined, 'plain', root).budget).to.equal(undefined);
    expect(existsSync(join(root, 'fsvae.h'))).to.equal(true);
  });
});
