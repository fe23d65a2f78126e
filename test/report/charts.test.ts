import { expect } from 'chai';
import { arenaMap, barChart, escapeHtml, PALETTE, rasterChart, rateChart, stackedBar } from '../../report/charts.js';

/** Relative luminance of a colour, #rgb or #rrggbb (WCAG 2.2). */
function luminance(colour: string): number {
  const digits = colour.length === 4 ? colour.slice(1).replace(/./g, '$&$&') : colour.slice(1);
  const [red, green, blue] = [0, 2, 4]
    .map((at) => Number.parseInt(digits.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

describe('charts', () => {
  const schemes = PALETTE.split('@media').map(
    (block) => new Map([...block.matchAll(/--([\w-]+):(#[0-9a-f]{3,6})/g)].map(([, name, colour]) => [name, colour])),
  );

  ['light', 'dark'].forEach((scheme, i) => {
    const of = (name: string): string => schemes[i].get(name)!;
    for (const ink of ['ink', 'muted', 'good', 'bad']) {
      for (const ground of ['paper', 'panel', 'well']) {
        it(`${scheme}: ${ink} can be read on ${ground}`, () => {
          expect(contrast(of(ink), of(ground))).to.be.at.least(4.5);
        });
      }
    }
    it(`${scheme}: bars, controls and focus stand out, labels can be read on every tone`, () => {
      for (const name of ['accent', 'control']) expect(contrast(of(name), of('panel')), name).to.be.at.least(3);
      expect(contrast(of('on-tone'), of('accent'))).to.be.at.least(4.5);
      for (let tone = 0; tone < 8; tone++) {
        expect(contrast(of('on-tone'), of(`tone${tone}`)), `tone${tone}`).to.be.at.least(4.5);
      }
    });
  });

  it('no name can become markup', () => {
    const name = `<img src=x onerror="alert('1')">&`;
    const charts = [
      barChart({ caption: name, columns: [name], rows: [{ label: name, value: 1, text: name, more: [name] }] }),
      rateChart([{ name, neurons: 2, counts: [1, 2] }]),
      stackedBar(name, [{ name, bytes: 3 }], 4),
      arenaMap({ bytes: 8, buffers: [{ name, bytes: 8, offset: 0, first: 0, last: 0 }] }, [name]),
    ];
    for (const chart of charts) {
      expect(chart).not.to.contain('<img');
      expect(chart).to.contain(escapeHtml(name));
    }
  });

  it('bars are in proportion, and marks on the same scale', () => {
    const chart = barChart({
      caption: '',
      columns: [],
      rows: [
        { label: 'a', value: 1, text: '1', mark: 4 },
        { label: 'b', value: 2, text: '2' },
      ],
    });
    expect([...chart.matchAll(/(?:width|left):([\d.]+)%/g)].map(([, value]) => Number(value))).to.deep.equal([
      25, 100, 50,
    ]);
  });

  it('draws nothing but zeros without a division by zero', () => {
    expect(rateChart([{ name: 'silent', neurons: 4, counts: [0, 0] }]))
      .to.contain('0.0 %')
      .and.not.to.contain('NaN');
    expect(stackedBar('Flash', [], 0)).to.contain('0 of 0');
  });

  it('a raster has one square for each spike, at its channel and step', () => {
    const spikes = Uint8Array.from([1, 0, 0, 0, 1, 1]); // two steps of three channels
    const path = /class="spikes" d="([^"]*)"/.exec(rasterChart(spikes, 2, 3))![1];
    expect([...path.matchAll(/M(\d+) (\d+)/g)].map(([, c, t]) => [Number(c), Number(t)])).to.deep.equal([
      [0, 0],
      [1, 1],
      [2, 1],
    ]);
  });
});
