/** What a board description may say, checked before anything relies on it. docs/boards.md explains every field. */

import { z } from 'zod';
import { FsvaeError } from '../runtime-ts/errors.js';
import { parseJson, schemaProblems } from '../runtime-ts/json-file.js';

const address = z
  .string()
  .regex(/^0x[0-9a-f]{1,8}$/, 'must be a hexadecimal address such as "0x10000000"')
  .transform((text) => Number.parseInt(text, 16));

/** No memory of a microcontroller is larger. An image's size, which is allocated, is bounded by it. */
const MOST_MEMORY_BYTES = 2 ** 28;

const region = z
  .strictObject({ origin: address, bytes: z.int().positive().max(MOST_MEMORY_BYTES) })
  .refine(({ origin, bytes }) => origin + bytes <= 2 ** 32, 'must end within 32 bits of address');

/** Hexadecimal text as in `lsusb`: no USB id is longer. */
const usbId = z
  .string()
  .regex(/^0x[0-9a-f]{4}$/, 'must be a USB id such as "0x2e8a"')
  .transform((text) => Number.parseInt(text, 16));

/** Of a chip with several banks of pins: bank x its size + place in it. */
const pin = z.int().nonnegative().max(255);

const flags = z.array(z.string().regex(/^-\S+$/, 'must be one compiler flag without blanks')).max(32);

const program = z.strictObject({
  program: z.string().regex(/^[\w.+-]{1,64}$/, 'must be the name of a program, looked for on PATH'),
  flags,
});

/** Text that generated C may carry in a comment or a string. */
function text(most: number) {
  return z
    .string()
    .min(1)
    .max(most)
    .regex(/^[^\p{C}\\"]*$/u, 'must be one line without quotation marks and backslashes')
    .refine((value) => !value.includes('*/'), 'must not end a comment');
}

/** Programs that put an image onto a board. No other is ever started for a board's description. */
export const FLASH_TOOLS = [
  'picotool',
  'openocd',
  'st-flash',
  'dfu-util',
  'nrfutil',
  'adafruit-nrfutil',
  'esptool',
  'pyocd',
  'probe-rs',
] as const;

const flasher = z.discriminatedUnion('kind', [
  /** A boot loader that shows itself as a drive: what INFO_UF2.TXT there says as Board-ID or Model. */
  z.strictObject({ kind: z.literal('drive'), ids: z.array(text(64)).min(1).max(16) }),
  /** FILE.uf2, FILE.elf, FILE.bin, FILE.hex and PORT stand for the paths of what was built, and the serial port. */
  z.strictObject({
    kind: z.literal('tool'),
    tool: z.enum(FLASH_TOOLS),
    arguments: z
      .array(z.string().regex(/^[^\p{C}]{1,200}$/u, 'must be one argument, without control characters'))
      .max(32),
  }),
]);

const schema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be lower-case letters, digits and dashes'),
    title: text(64),
    core: text(32),
    /** Cycles a second; 0 where the board counts nanoseconds. */
    clockHz: z
      .int()
      .nonnegative()
      .max(2 ** 30 - 1),
    /** What the port counts: the core's cycles; or, in QEMU, which has none, instructions, a nanosecond of its clock each. */
    counter: z.enum(['cycles', 'instructions']).default('cycles'),
    /** null: a program of the machine's own operating system, without a memory map. */
    memory: z
      .strictObject({
        flash: region,
        ram: region,
        stackBytes: z
          .int()
          .min(1024)
          .max(2 ** 20)
          .multipleOf(8),
        /** Upper bounds of the program beside constants, arena, image, frame buffer and stack, whatever the compiler; -O2. */
        program: z
          .strictObject({
            flashBytes: z.int().positive().max(MOST_MEMORY_BYTES),
            ramBytes: z.int().positive().max(MOST_MEMORY_BYTES),
          })
          .default({ flashBytes: 56 * 1024, ramBytes: 16 * 1024 }),
      })
      .nullable(),
    link: z.strictObject({
      kind: z.enum(['usb', 'uart', 'pty']),
      baud: z
        .int()
        .min(300)
        .max(2 ** 24),
      text: text(120),
      /** For ports of several boards, which differ in where their UART lies; null where the port knows. */
      uart: z
        .strictObject({
          registers: address,
          interrupt: z.int().nonnegative().max(239),
          /** As the port numbers them; null where they cannot be chosen. */
          pins: z.strictObject({ tx: pin, rx: pin }).nullable().default(null),
        })
        .nullable()
        .default(null),
      /** What the board's own USB device calls itself; null where it has none. */
      usb: z.strictObject({ vendorId: usbId, productId: usbId }).nullable().default(null),
    }),
    /** Project formats (docs/project-formats.md) whose build systems know the board. */
    formats: z
      .array(z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be the name of a format'))
      .min(1)
      .max(8)
      .default(['bare', 'plain']),
    /** null: nothing but an ELF file is made. */
    uf2: z.strictObject({ familyId: address }).nullable(),
    /** Second-stage boot code that the chip's ROM checks: the port's source file for it. null: none. */
    boot2: z
      .string()
      .regex(/^[a-z0-9_]+\.S$/, 'must be the name of an assembler file of the port')
      .nullable(),
    /**
     * Folder in firmware-templates/ports/; or, beginning with `./`, a folder beside the description or below it, which
     * `loadBoard` makes an absolute path of.
     */
    port: z
      .string()
      .max(200)
      .regex(
        /^([a-z0-9_]+|\.(\/[\w-][\w.-]*)+)$/,
        'must be the name of a folder in firmware-templates/ports/, or a folder beside this file, such as "./my-port"',
      ),
    /** Each null where it cannot build for the board. */
    compilers: z.strictObject({
      gcc: program.nullable(),
      clang: program.nullable(),
      zig: z.strictObject({ target: z.string().regex(/^[\w.-]{1,64}$/, 'must be a target of zig'), flags }).nullable(),
    }),
    emulator: z.enum(['rp2040js', 'qemu']).nullable(),
    /** What QEMU calls the board; null for every other emulator. */
    machine: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{0,31}$/, "must be the name of one of QEMU's machines")
      .nullable()
      .default(null),
    /** How an image gets onto the board; FILE.uf2 and FILE.elf stand for the paths of what was built. */
    flashing: z.string().min(1).max(400),
    /** What `flash` may use, the first that can be. */
    flashers: z.array(flasher).max(8).default([]),
  })
  .superRefine((board, context) => {
    const refuse = (path: string[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    const { memory } = board;
    if (board.link.kind === 'usb' && board.link.usb === null) refuse(['link', 'usb'], 'must be given for the link usb');
    if ((board.emulator === 'qemu') !== (board.machine !== null))
      refuse(['machine'], 'must be given for the emulator qemu, and for no other');
    if (board.counter === 'instructions' && board.emulator !== 'qemu')
      refuse(['counter'], 'must be cycles: only QEMU counts instructions');
    if (memory === null) {
      for (const key of ['uf2', 'boot2', 'emulator'] as const) {
        if (board[key] !== null) refuse([key], 'must be null for a board without memory');
      }
      return;
    }
    if (board.clockHz === 0) refuse(['clockHz'], 'must be known for a board with memory');
    if (memory.stackBytes >= memory.ram.bytes) refuse(['memory', 'stackBytes'], 'must leave some RAM');
    if (board.boot2 !== null && memory.flash.bytes <= 256)
      refuse(['memory', 'flash'], 'must hold more than the boot code');
    board.flashers.forEach((flasher, i) => {
      const needsUf2 = flasher.kind === 'drive' || flasher.arguments.some((argument) => argument.includes('FILE.uf2'));
      if (needsUf2 && board.uf2 === null) refuse(['flashers', String(i)], 'needs a UF2 file, which this board has not');
    });
    if (board.emulator === 'rp2040js' && board.uf2 === null) refuse(['uf2'], 'must be given: the emulator loads it');
  });

/** One board. Sizes in bytes, addresses as numbers. */
export type Board = z.infer<typeof schema>;

export type Flasher = Board['flashers'][number];

export type FlashTool = (typeof FLASH_TOOLS)[number];

/**
 * Checks a description.
 *
 * @param content of a board file, JSON
 * @param where named in errors
 * @throws FsvaeError `input` with all errors, each with its path in the file
 */
export function parseBoard(content: string, where: string): Board {
  const parsed = schema.safeParse(parseJson(content, where));
  if (!parsed.success) {
    throw new FsvaeError('input', schemaProblems(where, parsed.error.issues));
  }
  return parsed.data;
}
