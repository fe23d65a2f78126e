import { expect } from 'chai';
import fc from 'fast-check';
import {
  areaUnderRoc,
  calibratedThreshold,
  calibrationImages,
  histogram,
  rocCurve,
  shareAbove,
} from '../../report/detection.js';
import { Pcg32 } from '../../runtime-ts/pcg32.js';

/** Few values, so that many are tied. */
const scores = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 40 });

describe('detection of anomalies', () => {
  for (const [what, normal, anomalous, area] of [
    ['apart', [1, 2, 3], [4, 5], 1],
    ['apart the wrong way', [4, 5], [1, 2, 3], 0],
    ['all the same', [1, 1], [1, 1, 1], 0.5],
    ['one of two pairs', [1, 3], [2], 0.5],
    ['a tie counts half', [1, 2], [2], 0.75],
    ['in any order', [5, 1, 3], [4, 2], 0.5],
  ] as const) {
    it(`area under the ROC curve, ${what}: ${area}`, () => expect(areaUnderRoc(normal, anomalous)).to.equal(area));
  }

  it('the area is the share of pairs in their order, and what lies under the curve', () => {
    fc.assert(
      fc.property(scores, scores, (normal, anomalous) => {
        let pairs = 0;
        for (const a of anomalous) for (const n of normal) pairs += a > n ? 1 : a === n ? 0.5 : 0;
        const area = areaUnderRoc(normal, anomalous);
        expect(area).to.equal(pairs / (normal.length * anomalous.length));
        const curve = rocCurve(normal, anomalous);
        let under = 0;
        for (let i = 1; i < curve.length; i++) {
          const height = (curve[i].detected + curve[i - 1].detected) / 2;
          under += height * (curve[i].falseAlarms - curve[i - 1].falseAlarms);
        }
        expect(under).to.be.closeTo(area, 1e-12);
        expect(curve.at(-1)).to.deep.equal({ falseAlarms: 1, detected: 1 });
      }),
    );
  });

  it('each point of the curve is what a threshold flags', () => {
    const [normal, anomalous] = [
      [1, 2, 2, 5],
      [2, 5, 7],
    ];
    expect(rocCurve(normal, anomalous)).to.deep.equal([
      { falseAlarms: 0, detected: 0 },
      { falseAlarms: 0, detected: 1 / 3 },
      { falseAlarms: 1 / 4, detected: 2 / 3 },
      { falseAlarms: 3 / 4, detected: 1 },
      { falseAlarms: 1, detected: 1 },
    ]);
    expect([shareAbove(normal, 2), shareAbove(anomalous, 2)]).to.deep.equal([1 / 4, 2 / 3]);
    expect(() => areaUnderRoc([], [1])).to.throw(RangeError);
  });

  for (const [images, falseAlarms, threshold] of [
    [19, 0.05, 19],
    [18, 0.05, undefined],
    [39, 0.05, 38],
    [99, 0.05, 95],
    [9, 0.1, 9],
    [3, 0.5, 2],
    [1, 0.5, 1],
    [999, 0.001, 999],
    [998, 0.001, undefined],
  ] as const) {
    it(`scores 1 to ${images}, ${falseAlarms} false alarms: threshold ${threshold}`, () => {
      const calibration = Array.from({ length: images }, (_, i) => images - i);
      expect(calibratedThreshold(calibration, falseAlarms)).to.equal(threshold);
      expect(images >= calibrationImages(falseAlarms)).to.equal(threshold !== undefined);
    });
  }

  it('of new images from the same distribution the share is flagged, in the mean over calibrations', () => {
    const random = new Pcg32(11n);
    const draw = (count: number): number[] => Array.from({ length: count }, () => random.next());
    let flagged = 0;
    for (let i = 0; i < 2000; i++) flagged += shareAbove(draw(10), calibratedThreshold(draw(39), 0.1)!) / 2000;
    // The seed is fixed, so this is one number, of a distribution 0.0025 wide.
    expect(flagged).to.be.closeTo(0.1, 0.005);
  });

  it('a histogram has every score in one bin; what lies beyond its end is in the last', () => {
    expect(histogram([0, 0.9, 1, 3.9, 4, 17], 4, 4)).to.deep.equal([2 / 6, 1 / 6, 0, 3 / 6]);
    expect(histogram([0, 0], 0, 3)).to.deep.equal([1, 0, 0]);
  });
});
