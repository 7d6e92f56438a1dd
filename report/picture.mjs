// SPDX-License-Identifier: Apache-2.0
// node picture.mjs PAGE OUT.png TITLE...: the sections of these titles of a page's first result, as one picture.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';

const [, , page, out, ...titles] = process.argv;
const profile = mkdtempSync(join(tmpdir(), 'gnomon-picture-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium', headless: true, viewport: { width: 1120, height: 900 }, colorScheme: 'light',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
try {
  const tab = await browser.newPage();
  await tab.goto(`file://${resolve(page)}`);
  await tab.waitForSelector('html[data-drawn]');
  await tab.evaluate((wanted) => {
    const result = document.querySelector('article.result');
    document.querySelectorAll('header, footer, article.result ~ *, article.result > nav').forEach((e) => e.remove());
    result.querySelectorAll('details').forEach((e) => e.remove());
    result.querySelectorAll('section').forEach((e) => { if (!wanted.includes(e.dataset.title)) e.remove(); });
    document.querySelector('main').style.setProperty('padding', '0 1.5rem 1rem');
  }, titles);
  await tab.waitForTimeout(200);
  await tab.locator('main').screenshot({ path: out });
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
