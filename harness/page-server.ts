/**
 * Serves the page on this machine alone, with a board behind it: files from memory, and the board's bytes both ways.
 *
 * Only this user's browser may come in, and no other page in it: the server listens on the loopback address, every
 * address begins with a random token, and requests with another Host (a name that somebody made point here) or a foreign
 * Origin (a page of somebody else) are refused.
 */

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { BOARD_IN, BOARD_OUT } from './page-data.js';
import { FsvaeError } from '../runtime-ts/errors.js';
import type { ByteTransport } from './transport.js';

export interface PageServerOptions {
  /** Files by path, relative to the page. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly board: ByteTransport;
  /** TCP port; 0: any that is free. */
  readonly port: number;
}

export interface PageServer {
  /** Where the page is, token included. */
  readonly url: string;
  /** Resolves when the board's link is gone. */
  readonly boardGone: Promise<void>;
  close(): Promise<void>;
}

/** A request to a board is a few hundred bytes: the largest is a latent. */
const MOST_POSTED_BYTES = 64 << 10;
const TOKEN_BYTES = 18;
/** How long a browser may take to read what is left when the server ends, in milliseconds. */
const CLOSING_MS = 300;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
};

/** Nothing from elsewhere, nothing inline but styles (bars have their length in one). */
const POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** Handlebars compiles templates to functions, in the worker that generates C and nowhere else. */
const GENERATOR_POLICY = "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'";

/**
 * The built page: index.html and assets/.
 *
 * @throws FsvaeError `usage` when it is not built
 */
export function readPage(folder: string): Map<string, Uint8Array> {
  if (!existsSync(join(folder, 'index.html'))) {
    throw new FsvaeError('usage', `the page is not built: ${folder} has no index.html; run npm run playground:page`);
  }
  const files = new Map<string, Uint8Array>([['index.html', readFileSync(join(folder, 'index.html'))]]);
  for (const name of readdirSync(join(folder, 'assets'))) {
    files.set(`assets/${name}`, readFileSync(join(folder, 'assets', name)));
  }
  return files;
}

/** @throws FsvaeError `usage` when the port cannot be listened on */
export async function servePage({ files, board, port }: PageServerOptions): Promise<PageServer> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  /** The page that is connected; a later one takes the board over, so that a page can be loaded anew. */
  let reader: ServerResponse | undefined;
  let hosts: readonly string[] = [];
  let gone: () => void = () => undefined;
  const boardGone = new Promise<void>((resolve) => (gone = resolve));
  board.onBytes((bytes) => void reader?.write(bytes));
  board.onClose(() => {
    reader?.end();
    gone();
  });

  const server = createServer((request, response) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    response.setHeader('Cache-Control', 'no-store');
    response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    response.setHeader('Content-Security-Policy', POLICY);
    const refuse = (status: number, why: string): void => {
      response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${why}\n`);
    };
    const { host, origin } = request.headers;
    if (host === undefined || !hosts.includes(host)) return refuse(403, 'this address is not served');
    if (origin !== undefined && !hosts.some((name) => origin === `http://${name}`)) {
      return refuse(403, 'requests of other pages are refused');
    }
    const path = pathBelow(request.url ?? '', token);
    if (path === undefined) return refuse(404, 'not found');
    if (path === BOARD_OUT && request.method === 'GET') {
      reader?.end();
      reader = response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      response.flushHeaders();
      response.on('close', () => {
        if (reader === response) reader = undefined;
      });
      return;
    }
    if (path === BOARD_IN && request.method === 'POST') {
      readBody(request).then(
        async (bytes) => {
          if (bytes === undefined) return refuse(413, 'too long for a request to a board');
          try {
            await board.write(bytes);
            response.writeHead(204).end();
          } catch (error) {
            refuse(502, (error as Error).message);
          }
        },
        () => response.destroy(),
      );
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'only GET');
    const name = path === '' ? 'index.html' : path;
    const content = files.get(name);
    if (content === undefined) return refuse(404, 'not found');
    if (/^assets\/models-[\w-]+\.js$/.test(name)) response.setHeader('Content-Security-Policy', GENERATOR_POLICY);
    response.writeHead(200, {
      'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
      'Content-Length': content.length,
    });
    response.end(request.method === 'HEAD' ? undefined : content);
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'another program listens there' : (error.code ?? error.message);
      reject(new FsvaeError('usage', `cannot listen on 127.0.0.1:${port}: ${why}; choose another --listen-port, or 0`));
    });
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: chosen } = server.address() as AddressInfo;
  hosts = [`127.0.0.1:${chosen}`, `localhost:${chosen}`];
  return {
    url: `http://127.0.0.1:${chosen}/${token}/`,
    boardGone,
    close: () =>
      new Promise((resolve) => {
        // The page's stream ends as a whole response; what is still open after that is cut.
        reader?.end();
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), CLOSING_MS).unref();
      }),
  };
}

/** The path after the token's folder, without a query; undefined for every other path. */
function pathBelow(url: string, token: string): string | undefined {
  const path = url.replace(/[?#].*$/, '');
  const given = Buffer.from(path.slice(1, 1 + token.length));
  const right = given.length === token.length && timingSafeEqual(given, Buffer.from(token));
  return right && path[1 + token.length] === '/' ? path.slice(token.length + 2) : undefined;
}

/** undefined: longer than anything that a board is sent. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MOST_POSTED_BYTES) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
