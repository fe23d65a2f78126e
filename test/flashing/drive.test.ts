import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { copyToDrive, driveAt, findDrives, isDriveOf, mountPoints, unmountedHint } from '../../flashing/drive.js';
import { errorOf } from '../harness/errors.js';
import { makeDrive, RP2_INFO, takeAway } from './boot-loader.js';

/** Sixteen chunks of 64 KiB, and a little. */
const FILE = Uint8Array.from({ length: 2048 * 512 + 512 }, (_, i) => (i * 7 + (i >> 9)) & 255);

describe('boot drives', () => {
  let folder: string;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'fsvae-drive-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  describe('are found', () => {
    it('by INFO_UF2.TXT, among folders that are not there or hold something else', () => {
      const drive = makeDrive(join(folder, 'RPI-RP2'));
      mkdirSync(join(folder, 'photos'));
      const found = findDrives([join(folder, 'none'), join(folder, 'photos'), drive, '/proc/1/root/x']);
      expect(found).to.deep.equal([{ path: drive, boardId: 'RPI-RP2', model: 'Raspberry Pi RP2' }]);
    });

    const infos: [title: string, info: string, boardId: string, model: string][] = [
      ["a Pico's", RP2_INFO, 'RPI-RP2', 'Raspberry Pi RP2'],
      [
        "an nRF52840's",
        'UF2 Bootloader 0.6\nModel: Nice!Nano\nBoard-ID: nRF52840-nicenano\nDate: x\n',
        'nRF52840-nicenano',
        'Nice!Nano',
      ],
      ['one without fields', 'hello', '', ''],
      ['one that would move the cursor', 'Board-ID: \u001b[2JRP2\u0007\n', '?[2JRP2?', ''],
      ['one with an endless field', `Model: ${'x'.repeat(3000)}\n`, '', 'x'.repeat(64)],
    ];
    for (const [title, info, boardId, model] of infos) {
      it(`and described: ${title}`, () => {
        const path = makeDrive(join(folder, 'drive'), info);
        expect(driveAt(path)).to.deep.equal({ path, boardId, model });
      });
    }

    it('unless INFO_UF2.TXT is no small file', () => {
      expect(driveAt(makeDrive(join(folder, 'large'), 'x'.repeat(5000)))).to.equal(undefined);
      mkdirSync(join(folder, 'odd', 'INFO_UF2.TXT'), { recursive: true });
      expect(driveAt(join(folder, 'odd'))).to.equal(undefined);
    });

    it('by Board-ID or Model, in either case', () => {
      const drive = { path: '/x', boardId: 'RPI-RP2', model: 'Raspberry Pi RP2' };
      expect(isDriveOf(drive, ['RP2350', 'rpi-rp2'])).to.equal(true);
      expect(isDriveOf(drive, ['Raspberry Pi RP2'])).to.equal(true);
      expect(isDriveOf(drive, ['RP2350', 'RPI'])).to.equal(false);
      expect(isDriveOf({ ...drive, boardId: '', model: '' }, ['RPI-RP2'])).to.equal(false);
    });

    it('at mount points, with blanks in them', () => {
      const mounts =
        '/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /media/me/RPI-RP2 vfat rw 0 0\n/dev/sdc1 /media/me/MY\\040DRIVE\\134 msdos rw 0 0\nbad\n';
      expect(mountPoints(mounts)).to.deep.equal(['/media/me/RPI-RP2', '/media/me/MY DRIVE\\']);
    });

    it('not yet, but with a hint, where they wait to be mounted', () => {
      writeFileSync(join(folder, 'RPI-RP2'), '');
      expect(unmountedHint(['RP2350', 'RPI-RP2'], folder)).to.equal(
        `; it is there but not mounted: udisksctl mount -b ${join(folder, 'RPI-RP2')}`,
      );
      expect(unmountedHint(['RP2350'], folder)).to.equal('');
    });
  });

  describe('are written', () => {
    it('whole, with progress, and go away', async () => {
      const path = makeDrive(join(folder, 'RPI-RP2'));
      const seen: number[] = [];
      const [, written] = await Promise.all([
        copyToDrive(driveAt(path)!, FILE, { onProgress: (done) => seen.push(done) }),
        takeAway(path, FILE.length),
      ]);
      expect(Buffer.from(written).equals(Buffer.from(FILE))).to.equal(true);
      expect(seen).to.have.length(17);
      expect(seen.at(-1)).to.equal(FILE.length);
      expect(seen).to.deep.equal([...seen].sort((a, b) => a - b));
    });

    it('and pulled in the middle: one line, at once, and a second try works', async () => {
      const path = makeDrive(join(folder, 'RPI-RP2'));
      const drive = driveAt(path)!;
      // It goes away while half of the file is on it, whatever the two are doing then.
      const half = FILE.length / 2;
      const copying = errorOf(
        copyToDrive(drive, FILE, {
          onProgress: (done) => void (done > half && rmSync(path, { recursive: true, force: true })),
        }),
      );
      const error = await copying;
      expect(error.kind).to.equal('flash');
      expect(error.message).to.match(
        /went away after \d+ of 1049088 bytes: was the board unplugged\? connect .* start over/,
      );
      makeDrive(path);
      const [, written] = await Promise.all([copyToDrive(drive, FILE), takeAway(path, FILE.length)]);
      expect(written.length).to.equal(FILE.length);
    });

    it('and gone before the first byte', async () => {
      const path = makeDrive(join(folder, 'RPI-RP2'));
      const drive = driveAt(path)!;
      rmSync(path, { recursive: true });
      expect((await errorOf(copyToDrive(drive, FILE))).message).to.match(/went away after 0 of/);
    });

    it('and full: the reason, and where', async function () {
      if (!existsSync('/dev/full')) this.skip();
      const path = makeDrive(join(folder, 'RPI-RP2'));
      symlinkSync('/dev/full', join(path, 'FSVAE.UF2'));
      const error = await errorOf(copyToDrive(driveAt(path)!, FILE));
      expect(error.kind).to.equal('flash');
      expect(error.message).to.match(/^cannot write \S+FSVAE\.UF2 at byte 0 of 1049088: it is full; connect/);
    });

    it('and stay: the board did not want the image', async () => {
      const path = makeDrive(join(folder, 'RPI-RP2'));
      const error = await errorOf(copyToDrive(driveAt(path)!, FILE, { leaveMs: 200 }));
      expect(error.message).to.match(
        /^all 1049088 bytes are on the drive .* has not started them within 0\.2 s: is the image for this/,
      );
      expect(readFileSync(join(path, 'FSVAE.UF2')).length).to.equal(FILE.length);
    });
  });
});
