/** A link that carries bytes both ways: a serial port, or anything that behaves like one. */
export interface ByteTransport {
  /** For messages: the port's path. */
  readonly name: string;
  /** Resolves when the bytes are handed to the link; rejects with FsvaeError `link` when it is gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** Sets who gets received bytes. Bytes that arrive while nobody listens are dropped. */
  onBytes(listener: (bytes: Uint8Array) => void): void;
  /** Sets who hears, once, that the link is gone: unplugged, or closed by either side. */
  onClose(listener: () => void): void;
  /** Closing twice is harmless. */
  close(): Promise<void>;
}
