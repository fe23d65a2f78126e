import { expect } from 'chai';
import { anomalyPage, type AnomalyReport, detect, detectionTable } from '../../report/anomaly.js';
import { histogramChart, rocChart } from '../../report/detection-charts.js';

const NAME = `<img src=x onerror="alert('1')">&`;
const calibration = Array.from({ length: 19 }, (_, i) => i / 100);
const REPORT: AnomalyReport = {
  command: NAME,
  generatorVersion: '0',
  model: { name: NAME, hash: 'ab', shape: NAME },
  falseAlarms: 0.05,
  names: { calibration: NAME, images: NAME, anomalies: NAME },
  scored: [{ title: NAME, calibration, images: [0.1, 0.2], anomalies: [0.1, 0.3, 0.4, 0.5] }],
  ranked: [{ name: NAME, error: 0.5, anomalous: true }],
  shown: { png: Uint8Array.of(1, 2, 3), text: NAME },
};

describe('report of anomalies', () => {
  it('the numbers: threshold, shares above it, area', () => {
    expect(detect(REPORT.scored[0], 0.05)).to.deep.equal({
      title: NAME,
      threshold: 0.18,
      flagged: 0.5,
      detected: 0.75,
      area: (0.5 + 2 * 3) / 8,
    });
    expect(() => detect(REPORT.scored[0], 0.04)).to.throw(RangeError);
    const unknown = {
      ...REPORT,
      names: { ...REPORT.names, anomalies: undefined },
      scored: [{ ...REPORT.scored[0], anomalies: undefined }],
    };
    expect(detectionTable(unknown).rows).to.deep.equal([[NAME, '0.18000', '50.0 %']]);
    const page = anomalyPage(unknown);
    expect(page).not.to.contain('ROC');
    expect(page).to.contain('class="histogram"');
  });

  it('holds everything in one file that loads nothing; no name becomes markup; the same bytes each time', () => {
    const page = anomalyPage(REPORT);
    expect(anomalyPage(REPORT)).to.equal(page);
    expect(page).not.to.match(/<script|<link|(?:src|href)="(?!data:image\/png)|url\(|@import/i);
    expect(page).not.to.contain('<img src=x');
    expect(page)
      .to.contain('base64,AQID')
      .and.to.contain('area 0.8125, at the threshold 75.0 % found, 50.0 % false alarms');
  });

  it('an ROC curve has its points where they belong: to the right false alarms, upwards what is found', () => {
    const points = [
      { falseAlarms: 0, detected: 0 },
      { falseAlarms: 0.25, detected: 0.5 },
      { falseAlarms: 1, detected: 1 },
    ];
    const chart = rocChart([{ title: 'a', area: 0.5, points, chosen: points[1] }]);
    expect(chart).to.contain('points="0.00,100.00 25.00,50.00 100.00,0.00"');
    expect(chart).to.contain('cx="25.00" cy="50.00"');
  });

  it('a histogram is as high as its fullest bin, and its line is where the threshold is', () => {
    const chart = histogramChart('a', [{ title: 'b', errors: [0, 0, 0, 4] }], 1);
    expect(chart).to.contain('d="M0 100V0.00H2.50V100.00H5.00');
    expect(chart).to.contain('V66.67H100.00V100z"');
    expect(chart).to.contain('class="threshold" d="M25.00 0V100"');
    expect(histogramChart('a', [{ title: 'b', errors: [0] }], 0)).not.to.contain('NaN');
  });
});
