/** Places buffers in one block of memory; those that are never alive together may share it. */

/** A buffer, alive from phase `first` to phase `last`, both included. */
export interface BufferRequest {
  readonly name: string;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface PlacedBuffer extends BufferRequest {
  readonly offset: number;
}

export interface Arena {
  readonly bytes: number;
  readonly buffers: readonly PlacedBuffer[];
}

const ALIGNMENT = 8;

/**
 * Largest first, each at the lowest offset that is free for its whole life. Not the best possible placement, which is
 * NP-hard to find, but with a handful of buffers rarely far from it; the tests compare it with the lower bound.
 *
 * @returns offsets that are multiples of 8, in the order of the requests
 */
export function placeBuffers(requests: readonly BufferRequest[]): Arena {
  const placed: PlacedBuffer[] = [];
  const bySize = [...requests].sort((a, b) => b.bytes - a.bytes || a.first - b.first || (a.name < b.name ? -1 : 1));
  for (const request of bySize) {
    const neighbours = placed
      .filter((other) => other.first <= request.last && request.first <= other.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of neighbours) {
      if (offset + request.bytes <= other.offset) break;
      offset = Math.max(offset, align(other.offset + other.bytes));
    }
    placed.push({ ...request, offset });
  }
  const bytes = placed.reduce((end, buffer) => Math.max(end, align(buffer.offset + buffer.bytes)), 0);
  return { bytes, buffers: requests.map((request) => placed.find((buffer) => buffer.name === request.name)!) };
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

/** Bytes that no placement can do without: the most that is alive in one phase. */
export function lowerBound(requests: readonly BufferRequest[]): number {
  const phases = requests.flatMap((request) => [request.first, request.last]);
  return Math.max(
    ...phases.map((phase) =>
      requests
        .filter((request) => request.first <= phase && phase <= request.last)
        .reduce((sum, request) => sum + align(request.bytes), 0),
    ),
  );
}
