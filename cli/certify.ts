/** Certificates of the command line: what a target of a run is called in them, and where the file lies. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import type { Board } from '../boards/board.js';
import { type Build, GENERATOR_VERSION } from '../codegen/project.js';
import { emulatorVersion } from '../emulator/version.js';
import { type Certificate, type CertifiedTarget, parseCertificate } from '../harness/certificate.js';
import type { Hello } from '../harness/frame.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import { sha256 } from '../runtime-ts/sha256.js';

const MOST_FILE_BYTES = 1 << 20;

/** @throws FsvaeError `usage` when there is no such file, `input` when it is no certificate */
export function readCertificate(path: string): Certificate {
  let content: string;
  try {
    if (statSync(path).size > MOST_FILE_BYTES) throw new FsvaeError('input', `${path} is too large for a certificate`);
    content = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof FsvaeError) throw error;
    throw new FsvaeError('usage', `certificate ${path} cannot be read: ${(error as Error).message}`);
  }
  return parseCertificate(content, path);
}

/** The certificate at a path that may yet be written; undefined where there is none. */
export function existingCertificate(path: string): Certificate | undefined {
  return existsSync(path) ? readCertificate(path) : undefined;
}

/** Options as they stand in a certificate: those that were given. */
export function certifiedOptions({ bits, tau, threshold, thresholdScale }: Certificate['model']['options']) {
  return {
    ...(bits === undefined ? {} : { bits }),
    ...(tau === undefined ? {} : { tau }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(thresholdScale === undefined ? {} : { thresholdScale }),
  };
}

export function goldenTarget(): CertifiedTarget {
  return {
    kind: 'golden',
    board: null,
    generator: GENERATOR_VERSION,
    compiler: null,
    emulator: null,
    firmware: null,
    constants: null,
    serialNumber: null,
  };
}

/** A target that was built here and runs in its emulator or on this machine. */
export function builtTarget(board: Board, build: Build, hello: Hello): CertifiedTarget {
  return {
    kind: board.memory === null ? 'host' : 'emulator',
    board: board.name,
    generator: hello.generator,
    compiler: { kind: build.toolchain.kind, version: build.toolchain.version },
    emulator: board.emulator === null ? null : emulatorVersion(board.emulator),
    firmware: sha256(readFileSync(build.image?.binPath ?? build.programPath)),
    constants: hello.weightChecksum.toString(16).padStart(8, '0'),
    serialNumber: null,
  };
}

/** A board on a port: what it says of itself. */
export function boardTarget(hello: Hello): CertifiedTarget {
  return {
    kind: 'board',
    board: hello.board,
    generator: hello.generator,
    compiler: null,
    emulator: null,
    firmware: null,
    constants: hello.weightChecksum.toString(16).padStart(8, '0'),
    serialNumber: hello.serialNumber === '' ? null : hello.serialNumber,
  };
}

/** One line for people. */
export function describeTarget({ kind, board, compiler, emulator, serialNumber }: CertifiedTarget): string {
  const parts = [
    board ?? 'golden model',
    ...(kind === 'board' ? [serialNumber === null ? 'a real board' : `a real board, ${serialNumber}`] : []),
    ...(emulator === null ? [] : [emulator]),
    ...(compiler === null ? [] : [compiler.version]),
  ];
  return parts.join(', ');
}
