import { expect } from 'chai';
import { PNG } from 'pngjs';
import { pngGrid, terminalColor, terminalPicture } from '../../harness/picture.js';
import { startProgress } from '../../harness/progress.js';
import { Writable } from 'node:stream';
import { errorOf } from './errors.js';

/** Red, green and blue at a place of a PNG file. */
function pixels(file: Uint8Array): { width: number; height: number; at: (x: number, y: number) => number[] } {
  const png = PNG.sync.read(Buffer.from(file));
  return {
    width: png.width,
    height: png.height,
    at: (x, y) => [...png.data.subarray(4 * (y * png.width + x), 4 * (y * png.width + x) + 3)],
  };
}

const grey = (...values: number[]) => Uint8Array.from(values);

describe('the PNG grid', () => {
  it('places images row by row, upscaled, with lines between them', () => {
    const images = [grey(0, 50, 100, 150), grey(200, 201, 202, 203), grey(1, 2, 3, 4)];
    const { width, height, at } = pixels(pngGrid(images, { channels: 1, size: 2 }, { columns: 2, scale: 3, gap: 1 }));
    expect([width, height]).to.deep.equal([13, 13]);
    expect(at(0, 0)).to.deep.equal([0, 0, 0]);
    expect(at(2, 2)).to.deep.equal([0, 0, 0]);
    expect(at(3, 2)).to.deep.equal([50, 50, 50]);
    expect(at(5, 5)).to.deep.equal([150, 150, 150]);
    expect(at(6, 3)).to.deep.equal([64, 64, 64]);
    expect(at(7, 0)).to.deep.equal([200, 200, 200]);
    expect(at(0, 7)).to.deep.equal([1, 1, 1]);
    expect(at(12, 12), 'an empty place').to.deep.equal([64, 64, 64]);
  });

  it('shows three channels as red, green and blue, and the mean of any other number', () => {
    const rgb = pixels(pngGrid([grey(10, 20, 30)], { channels: 3, size: 1 }));
    expect(rgb.at(0, 0)).to.deep.equal([10, 20, 30]);
    const two = pixels(pngGrid([grey(10, 21)], { channels: 2, size: 1 }));
    expect(two.at(0, 0)).to.deep.equal([16, 16, 16]);
  });

  it('gives the same bytes for the same images', () => {
    const images = [grey(1, 2, 3, 4)];
    expect(pngGrid(images, { channels: 1, size: 2 })).to.deep.equal(pngGrid(images, { channels: 1, size: 2 }));
  });

  const refused: [title: string, call: () => unknown, message: RegExp][] = [
    ['no image', () => pngGrid([], { channels: 1, size: 2 }), /number of images .* must be 1 to/],
    [
      'an image of another size',
      () => pngGrid([grey(1)], { channels: 1, size: 2 }),
      /image 0 has 1 bytes, but 1 x 2 x 2/,
    ],
    ['a scale of 0', () => pngGrid([grey(1)], { channels: 1, size: 1 }, { scale: 0 }), /scale .* must be 1 to 64: 0/],
    [
      'more pixels than are sensible',
      () => pngGrid(Array<Uint8Array>(300).fill(grey(1)), { channels: 1, size: 1 }, { columns: 300, scale: 64 }),
      /picture of \d+ x \d+ pixels is larger/,
    ],
  ];
  for (const [title, call, message] of refused) {
    it(`refuses ${title}`, async () => {
      expect((await errorOf(Promise.resolve().then(call))).message).to.match(message);
    });
  }
});

describe('the terminal picture', () => {
  const shape = { channels: 1, size: 3 };
  const image = grey(0, 255, 128, 0, 255, 128, 255, 0, 8);

  it('as characters: two rows of pixels a line, from blank to dense, blanks at the end left out', () => {
    expect(terminalPicture(image, shape, 'ascii')).to.equal(' @+\n@');
  });

  it('in 24-bit colour: two pixels a character, the last row of an odd number on the default background', () => {
    expect(terminalPicture(grey(1, 2, 3, 4), { channels: 1, size: 2 }, 'truecolor')).to.equal(
      '\x1b[38;2;1;1;1;48;2;3;3;3m\u2580\x1b[38;2;2;2;2;48;2;4;4;4m\u2580\x1b[0m',
    );
    expect(terminalPicture(image, shape, 'truecolor').split('\n')[1]).to.satisfy((line: string) =>
      line.startsWith('\x1b[38;2;255;255;255;49m\u2580'),
    );
  });

  it('in 256 colours: greys of the grey ramp, colours of the cube', () => {
    expect(terminalPicture(grey(0), { channels: 1, size: 1 }, 'palette')).to.contain('38;5;16;');
    expect(terminalPicture(grey(8), { channels: 1, size: 1 }, 'palette')).to.contain('38;5;232;');
    expect(terminalPicture(grey(238), { channels: 1, size: 1 }, 'palette')).to.contain('38;5;255;');
    expect(terminalPicture(grey(255), { channels: 1, size: 1 }, 'palette')).to.contain('38;5;231;');
    expect(terminalPicture(grey(255, 0, 95), { channels: 3, size: 1 }, 'palette')).to.contain('38;5;197;');
  });

  it('is thinned out by a whole factor to fit the width', () => {
    const wide = new Uint8Array(100 * 100).fill(255);
    const lines = terminalPicture(wide, { channels: 1, size: 100 }, 'ascii', 40).split('\n');
    expect(lines[0]).to.equal('@'.repeat(34));
    expect(lines).to.have.length(17);
  });

  const tty = (depth: number) => ({ isTTY: true, getColorDepth: () => depth });
  const chosen: [title: string, stream: object, environment: Record<string, string>, color: string][] = [
    ['a pipe', {}, {}, 'ascii'],
    ['a terminal in 24 bits', tty(24), {}, 'truecolor'],
    ['a terminal in 256 colours', tty(8), {}, 'palette'],
    ['a terminal in 16 colours', tty(4), {}, 'ascii'],
    ['NO_COLOR', tty(24), { NO_COLOR: '1' }, 'ascii'],
    ['an empty NO_COLOR', tty(24), { NO_COLOR: '' }, 'truecolor'],
    ['a dumb terminal', tty(24), { TERM: 'dumb' }, 'ascii'],
  ];
  for (const [title, stream, environment, color] of chosen) {
    it(`for ${title} is ${color}`, () => expect(terminalColor(stream, environment)).to.equal(color) && undefined);
  }
});

describe('progress', () => {
  function collect(isTTY: boolean): { stream: Writable & { isTTY: boolean }; text: () => string } {
    let text = '';
    const stream = Object.assign(
      new Writable({
        write(chunk: Buffer, _, done) {
          text += chunk.toString('utf8');
          done();
        },
      }),
      { isTTY, cursorTo: () => undefined, clearLine: () => undefined, columns: 80 },
    );
    return { stream, text: () => text };
  }

  it('in a log is a plain line now and then, and the last state', async () => {
    const { stream, text } = collect(false);
    const progress = startProgress({ stream, label: 'images', total: 3, everyMs: 40 });
    progress.update(1, '2.00 a second');
    await new Promise((resolve) => setTimeout(resolve, 60));
    progress.update(2);
    progress.update(3, 'done');
    progress.stop();
    progress.stop();
    expect(text()).to.equal('2/3 images\n3/3 images  done\n');
  });

  it('on a terminal is a bar', () => {
    const { stream, text } = collect(true);
    const progress = startProgress({ stream, label: 'images', total: 4 });
    progress.update(2, '2.00 a second');
    progress.stop();
    expect(text()).to.match(/#{15}-{15} 2\/4 images {2}2\.00 a second/);
  });
});
