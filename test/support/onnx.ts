/**
 * A small ONNX file, byte by byte (onnx.proto of the ONNX project): as little of protocol buffers as that takes. The network
 * averages each channel over its pixels: those are its features; a matrix makes logits of them.
 */

type Field = readonly [number: number, value: number | string | Uint8Array];

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

/** A message: numbers as varints, text and messages with their length. */
function message(...fields: readonly Field[]): Uint8Array {
  const bytes = fields.flatMap(([number, value]) => {
    if (typeof value === 'number') return [...varint(number << 3), ...varint(value)];
    const content = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return [...varint((number << 3) | 2), ...varint(content.length), ...content];
  });
  return Uint8Array.from(bytes);
}

const FLOAT = 1;
const INT_ATTRIBUTE = 2;

function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: readonly Uint8Array[] = [],
): Uint8Array {
  return message(
    ...inputs.map((name): Field => [1, name]),
    [2, output],
    [4, operator],
    ...attributes.map((attribute): Field => [5, attribute]),
  );
}

/** A tensor's name and shape; a text is a size left open. */
function value(name: string, shape: readonly (number | string)[]): Uint8Array {
  const dimensions = shape.map((size): Field => [1, message([typeof size === 'number' ? 1 : 2, size])]);
  return message([1, name], [2, message([1, message([1, FLOAT], [2, message(...dimensions)])])]);
}

export interface MeansNetwork {
  /** Pixels a side of the input; undefined: left open. */
  readonly size?: number;
  /** (3, classes), row-major. */
  readonly matrix: Float32Array;
  /** Which outputs it has, and under what names. */
  readonly outputs?: { readonly features?: string; readonly logits?: string };
}

/** The network as an ONNX file. */
export function meansNetwork({
  size,
  matrix,
  outputs = { features: 'features', logits: 'logits' },
}: MeansNetwork): Uint8Array {
  const features = outputs.features ?? 'means';
  const axis = message([1, 'axis'], [3, 1], [20, INT_ATTRIBUTE]);
  const classes = matrix.length / 3;
  const initializer = message([1, 3], [1, classes], [2, FLOAT], [8, 'matrix'], [9, new Uint8Array(matrix.buffer)]);
  const nodes = [
    node('GlobalAveragePool', ['images'], 'pooled'),
    node('Flatten', ['pooled'], features, [axis]),
    ...(outputs.logits === undefined ? [] : [node('MatMul', [features, 'matrix'], outputs.logits)]),
  ];
  const graph = message(
    ...nodes.map((one): Field => [1, one]),
    [2, 'means'],
    ...(outputs.logits === undefined ? [] : [[5, initializer] as Field]),
    [11, value('images', ['N', 3, size ?? 'side', size ?? 'side'])],
    ...(outputs.features === undefined ? [] : [[12, value(features, ['N', 3])] as Field]),
    ...(outputs.logits === undefined ? [] : [[12, value(outputs.logits, ['N', classes])] as Field]),
  );
  // ir_version, graph, opset_import of the default domain.
  return message([1, 8], [7, graph], [8, message([2, 13])]);
}
