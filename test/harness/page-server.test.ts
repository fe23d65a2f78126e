/** The server of the live page: who it lets in, and what passes between page and board. */

import { request as httpRequest } from 'node:http';
import { expect } from 'chai';
import { type PageServer, servePage } from '../../harness/page-server.js';
import type { ByteTransport } from '../../harness/transport.js';
import { FsvaeError } from '../../runtime-ts/errors.js';

/** A link that sends back whatever it is given, as a looped cable does. */
class Loop implements ByteTransport {
  readonly name = 'a loop';
  private listener: (bytes: Uint8Array) => void = () => undefined;
  private closed: () => void = () => undefined;

  async write(bytes: Uint8Array): Promise<void> {
    this.listener(bytes);
  }
  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.listener = listener;
  }
  onClose(listener: () => void): void {
    this.closed = listener;
  }
  async close(): Promise<void> {
    this.closed();
  }
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** fetch() does not let a program set Host. */
function ask(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: Uint8Array } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('latin1');
      response.on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('page server', () => {
  let server: PageServer;
  let loop: Loop;
  let port: string;
  const files = new Map([
    ['index.html', new TextEncoder().encode('<p>page</p>')],
    ['assets/models-x1.js', new TextEncoder().encode('1')],
  ]);

  beforeEach(async () => {
    loop = new Loop();
    server = await servePage({ files, board: loop, port: 0 });
    port = new URL(server.url).port;
  });

  afterEach(() => server.close());

  it('serves the page below its token, and says that nothing else may be loaded', async () => {
    const { status, headers, body } = await ask(server.url);
    expect([status, body]).to.deep.equal([200, '<p>page</p>']);
    expect(headers['content-security-policy']).to.match(/^default-src 'none'; script-src 'self';/);
    expect(headers['referrer-policy']).to.equal('no-referrer');
    const worker = await ask(`${server.url}assets/models-x1.js`);
    expect(worker.headers['content-security-policy']).to.contain("'unsafe-eval'");
  });

  it('listens on the loopback address only', () => {
    expect(new URL(server.url).hostname).to.equal('127.0.0.1');
  });

  const refused: [what: string, of: (url: string) => string, headers: Record<string, string>, status: number][] = [
    ['no token', (url) => new URL('/', url).href, {}, 404],
    ['another token', (url) => url.replace(/.\/$/, '~/'), {}, 404],
    ['a token without its folder', (url) => url.slice(0, -1), {}, 404],
    ['a path out of the folder', (url) => `${url}../../etc/passwd`, {}, 404],
    ['an encoded path out of the folder', (url) => `${url}%2e%2e/package.json`, {}, 404],
    ['a name that points here', (url) => url, { Host: 'evil.example' }, 403],
    ['another port', (url) => url, { Host: '127.0.0.1:1' }, 403],
    ['a page of somebody else', (url) => url, { Origin: 'http://evil.example' }, 403],
    ['a page of nobody', (url) => url, { Origin: 'null' }, 403],
    ['a page on another port', (url) => url, { Origin: 'http://127.0.0.1:1' }, 403],
  ];
  for (const [what, of, headers, status] of refused) {
    it(`refuses ${what}`, async () => {
      expect((await ask(of(server.url), { headers })).status).to.equal(status);
      const posted = await ask(`${of(server.url)}board/in`, { method: 'POST', headers, body: Uint8Array.of(1) });
      expect(posted.status).to.equal(status);
    });
  }

  it('takes localhost for the same, and its own origin', async () => {
    const own = { Host: `localhost:${port}`, Origin: `http://localhost:${port}` };
    expect((await ask(server.url, { headers: own })).status).to.equal(200);
  });

  it('passes bytes both ways, in order', async () => {
    const stream = await fetch(`${server.url}board/out`);
    const reader = stream.body!.getReader();
    for (const byte of [7, 0, 255]) {
      expect((await ask(`${server.url}board/in`, { method: 'POST', body: Uint8Array.of(byte) })).status).to.equal(204);
      expect((await reader.read()).value).to.deep.equal(Uint8Array.of(byte));
    }
    await reader.cancel();
  });

  it('gives the board to the page that came last', async () => {
    const first = (await fetch(`${server.url}board/out`)).body!.getReader();
    const second = (await fetch(`${server.url}board/out`)).body!.getReader();
    expect((await first.read()).done).to.equal(true);
    await ask(`${server.url}board/in`, { method: 'POST', body: Uint8Array.of(9) });
    expect((await second.read()).value).to.deep.equal(Uint8Array.of(9));
    await second.cancel();
  });

  it('refuses what is too long for a board', async () => {
    const { status } = await ask(`${server.url}board/in`, { method: 'POST', body: new Uint8Array(65537) });
    expect(status).to.equal(413);
  });

  it('ends the stream when the board is gone', async () => {
    const reader = (await fetch(`${server.url}board/out`)).body!.getReader();
    await loop.close();
    await server.boardGone;
    expect((await reader.read()).done).to.equal(true);
  });

  it('says in one line that a port is taken', async () => {
    const error = await servePage({ files, board: new Loop(), port: Number(port) }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(FsvaeError);
    expect((error as Error).message).to.match(/cannot listen on 127\.0\.0\.1:\d+: another program listens there/);
  });
});
