/** Rows of originals, each above the row of what became of them; empty places are black. */
export function sideBySide(
  images: readonly Uint8Array[],
  drawn: readonly Uint8Array[],
  columns: number,
): readonly Uint8Array[] {
  const rows: Uint8Array[] = [];
  for (let at = 0; at < images.length; at += columns) {
    const fill = (row: readonly Uint8Array[]): Uint8Array[] => [
      ...row,
      ...Array.from({ length: columns - row.length }, () => new Uint8Array(images[0].length)),
    ];
    rows.push(...fill(images.slice(at, at + columns)), ...fill(drawn.slice(at, at + columns)));
  }
  return rows;
}
