/**
 * Renews the pictures of the page in docs/images/: the built page with the shipped model, in a browser.
 *
 *   npm run playground:build && npm run playground:pictures
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../codegen/package-root.js';
import { ABOUT, FIRMWARE, MODEL } from '../../harness/page-data.js';
import { launch, type Look, open, staticHost } from './browser.js';

const built = join(PACKAGE_ROOT, 'dist-playground');
const data = new Map([ABOUT, MODEL, FIRMWARE].map((path) => [path, readFileSync(join(built, path))]));
const host = await staticHost(built, data);
const browser = await launch();

async function take(name: string, look: Look, images: number, fullPage: boolean): Promise<void> {
  const { context, page, faults } = await open(browser, `${host.url}#7`, look);
  page.setDefaultTimeout(300_000);
  for (let image = 0; image < images; image++) {
    if (image > 0) await page.getByRole('button', { name: 'Previous seed' }).click();
    await page.locator('#verdict li', { hasText: `seed ${7 - image}` }).waitFor();
    await page.locator('#verdict li', { hasText: /digests over/ }).waitFor();
  }
  await page.getByRole('img', { name: /Arena of/ }).waitFor();
  await page.locator('h1').click();
  await page.screenshot({ path: join(PACKAGE_ROOT, 'docs', 'images', name), fullPage });
  await context.close();
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

await take('playground.png', { width: 1200, height: 1020, colorScheme: 'light' }, 6, false);
await take('playground-dark.png', { width: 1200, height: 900, colorScheme: 'dark' }, 1, true);
await take('playground-phone.png', { width: 375, height: 780, colorScheme: 'dark' }, 1, false);
await browser.close();
await host.close();
