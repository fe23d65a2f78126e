export interface Tensor { readonly dtype: string; readonly shape: readonly number[]; readonly data: Uint8Array }
export function parseSafetensors(bytes: Uint8Array): { tensors: Map<string, Tensor>; metadata: Record<string, string> } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const n = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + n))) as Record<string, any>;
  const tensors = new Map<string, Tensor>();
  const { __metadata__: metadata = {}, ...rest } = header;
  for (const [name, t] of Object.entries(rest)) tensors.set(name, { dtype: t.dtype, shape: t.shape, data: bytes.subarray(8 + n + t.data_offsets[0], 8 + n + t.data_offsets[1]) });
  return { tensors, metadata };
}
export function encodeSafetensors(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>>): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const [name, t] of tensors) { header[name] = { dtype: t.dtype, shape: t.shape, data_offsets: [at, at + t.data.length] }; at += t.data.length; }
  let text = JSON.stringify(header); while (text.length % 8) text += ' ';
  const out = new Uint8Array(8 + text.length + at); new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(new TextEncoder().encode(text), 8); at = 8 + text.length;
  for (const t of tensors.values()) { out.set(t.data, at); at += t.data.length; }
  return out;
}
