// SPDX-License-Identifier: Apache-2.0
// browser_test.mjs FOLDER SHOTS: FOLDER/report.html and diff.html do what they should, and say nothing on the console.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const { chromium } = createRequire(resolve('report/package.json'))('playwright-core');
const [, , folder, shots] = process.argv;
const profile = mkdtempSync(join(tmpdir(), 'gnomon-browser-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium', headless: true, viewport: { width: 1280, height: 1000 },
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});

async function open(name, colorScheme) {
  const page = await browser.newPage();
  const said = [];
  const asked = [];
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('request', (request) => { if (!request.url().startsWith('data:')) asked.push(request.url()); });
  await page.emulateMedia({ colorScheme });
  await page.goto(`file://${join(folder, name)}`);
  await page.waitForSelector('html[data-drawn]', { timeout: 10000 });
  await page.waitForTimeout(200);
  return { page, said, asked };
}

const mean = (value) => (typeof value === 'object' ? value.mean : value);
const summaryOf = (path) => JSON.parse(readFileSync(join(path, 'summary.json'), 'utf8'));

/// Every figure that the page shows is the one in summary.json, and every figure of that is on the page.
async function numbersAgree(page) {
  const cells = await page.$$eval('[data-value][data-metric][data-result]', (all) => all.map((e) => ({ ...e.dataset, text: e.textContent })));
  const shown = new Set();
  for (const cell of cells) {
    const variant = summaryOf(cell.result).variants.find((v) => v.name === cell.variant);
    assert.equal(Number(cell.value), mean(variant.metrics[cell.metric]), `${cell.variant} ${cell.metric}`);
    assert.match(cell.text, /[0-9]/);
    shown.add(`${cell.result} ${cell.variant} ${cell.metric}`);
  }
  for (const result of new Set(cells.map((c) => c.result))) {
    for (const variant of summaryOf(result).variants)
      for (const [name, value] of Object.entries(variant.metrics))
        if (typeof mean(value) === 'number') assert.ok(shown.has(`${result} ${variant.name} ${name}`), `${variant.name} ${name} is not shown`);
  }
  const expectations = await page.$$eval('[data-expectation]', (all) => all.map((e) => ({ ...e.dataset })));
  assert.ok(expectations.length >= 4);
  for (const e of expectations) assert.equal(Number(e.value), summaryOf(e.result).expectations[Number(e.expectation)].simulated);
  return cells.length;
}

/// Pixels of a line's colour on each canvas.
const drawnPixels = (page) => page.$$eval('canvas', (all) => all.map((canvas) => {
  const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 0 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60) coloured += 1;
  return coloured;
}));

async function plotsAreDrawn(page) {
  const pixels = await drawnPixels(page);
  assert.ok(pixels.length >= 20, `${pixels.length} plots`);
  for (const [i, n] of pixels.entries()) assert.ok(n > 200, `plot ${i} has ${n} coloured pixels: ${await page.locator('.chart').nth(i).getAttribute('aria-label')}`);
  const bars = await page.$$eval('svg.bars rect', (all) => all.filter((r) => r.getBoundingClientRect().width > 2).length);
  assert.ok(bars > 20, `${bars} bars`);
}

async function keysWork(page) {
  const chart = page.locator('.chart').first();
  await chart.focus();
  for (let i = 0; i < 6; i += 1) await page.keyboard.press('Shift+ArrowRight');
  const legend = await chart.locator('.u-legend').innerText();
  assert.match(legend, /(µs|ms)/);
  assert.match(legend, /(MiB|GiB)\/s/);
  const before = await page.evaluate(() => document.querySelector('canvas').toDataURL());
  await page.keyboard.press('+');
  await page.waitForTimeout(50);
  const zoomed = await page.evaluate(() => document.querySelector('canvas').toDataURL());
  assert.notEqual(zoomed, before);
  await page.keyboard.press('Escape');
  await page.waitForTimeout(50);
  assert.equal(await page.evaluate(() => document.querySelector('canvas').toDataURL()), before);
}

async function linesCanBeHidden(page) {
  const canvas = () => page.evaluate(() => document.querySelector('canvas').toDataURL());
  const before = await canvas();
  const box = page.locator('.chips input').first();
  await box.click();
  await page.waitForTimeout(50);
  assert.notEqual(await canvas(), before);
  assert.ok((await page.locator('.chart').first().locator('.u-legend tr.u-off').count()) === 1);
  await box.click();
  await page.waitForTimeout(50);
  assert.equal(await canvas(), before);
}

/// Every part a report has is there where there is something to show, and loads nothing.
async function partsAreThere(page) {
  const titles = new Set(await page.$$eval('section[data-title]', (all) => all.map((e) => e.dataset.title)));
  for (const title of ['Variants', 'Published and simulated', 'Where the time goes', 'Over time', 'Latency distribution', 'VM exits by reason',
    'Invalidated against modified pages', 'IOTLB hit rate', 'IOTLB refills by what evicted the entry', 'Lock waits', 'Exposure',
    'All metrics', 'Effective configuration']) assert.ok(titles.has(title), `no part "${title}"`);
  const captions = new Set(await page.$$eval('figcaption', (all) => all.map((e) => e.textContent)));
  for (const caption of ['Bandwidth', 'IOPS', 'Mean latency', 'Share of I/Os at or below']) assert.ok(captions.has(caption), `no plot "${caption}"`);
  const origins = await page.$$eval('table.config td.source', (all) => all.map((e) => e.textContent));
  assert.ok(origins.length > 100 && origins.every((text) => text.length > 0), `values without their source: ${origins.length} origins`);
  const policy = await page.getAttribute('meta[http-equiv="Content-Security-Policy"]', 'content');
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
}

async function filterWorks(page) {
  const section = page.locator('section', { has: page.getByRole('heading', { name: 'All metrics' }) }).first();
  await section.locator('summary').click();
  await section.locator('input').fill('iotlb');
  const rows = await section.locator('tbody tr:visible').allInnerTexts();
  assert.ok(rows.length > 3 && rows.every((row) => row.includes('iotlb')));
}

try {
  assert.ok(statSync(join(folder, 'report.html')).size < 3_000_000);
  const { page, said, asked } = await open('report.html', 'light');
  assert.equal(asked.length, 1, `requests: ${asked}`);
  const cells = await numbersAgree(page);
  await partsAreThere(page);
  await plotsAreDrawn(page);
  await page.screenshot({ path: join(shots, 'report-light.png'), fullPage: true });
  await keysWork(page);
  await linesCanBeHidden(page);
  await filterWorks(page);
  assert.equal(await page.locator('img, article script, header script').count(), 0, 'text of a result became markup');
  assert.ok((await page.locator('h2').allInnerTexts()).includes('<img src=x onerror=fail()>'));
  assert.ok((await page.locator('svg rect.worse').count()) > 0, 'the waterfall of blame');
  assert.ok((await page.locator('.whisker').count()) > 0, 'error bars over repeats');
  assert.ok((await page.locator('svg .bad').count()) > 0, 'an expectation that fails');

  const lightPixels = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.getByRole('button', { name: /Theme/ }).click();
  await page.getByRole('button', { name: /Theme/ }).click();
  assert.equal(await page.getByRole('button', { name: /Theme/ }).innerText(), 'Theme: dark');
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), lightPixels);
  await plotsAreDrawn(page);
  await page.pdf({ path: join(shots, 'report.pdf'), format: 'A4', printBackground: true });
  assert.deepEqual(said, []);

  const dark = await open('report.html', 'dark');
  await plotsAreDrawn(dark.page);
  await dark.page.screenshot({ path: join(shots, 'report-dark.png'), fullPage: true });
  await dark.page.setViewportSize({ width: 420, height: 900 });
  await dark.page.waitForTimeout(200);
  const overflow = await dark.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `on a narrow screen the page is ${overflow} pixels too wide`);
  await dark.page.screenshot({ path: join(shots, 'report-narrow.png') });
  assert.deepEqual(dark.said, []);

  const diff = await open('diff.html', 'light');
  const sides = await diff.page.$$eval('[data-diff][data-side]', (all) => all.map((e) => ({ ...e.dataset })));
  assert.ok(sides.length > 20);
  const summary = summaryOf(join(folder, 'quickstart'));
  for (const side of sides) {
    const name = side.side === 'a' ? 'strict' : 'lazy-sq-map';
    assert.equal(Number(side.value), summary.variants.find((v) => v.name === name).metrics[side.metric] ?? 0, side.metric);
  }
  await diff.page.screenshot({ path: join(shots, 'diff.png'), fullPage: true });
  assert.deepEqual(diff.said, []);
  console.log(`${cells} figures agree with summary.json; screenshots in ${shots}`);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
