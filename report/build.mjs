// SPDX-License-Identifier: Apache-2.0
// node build.mjs: makes platform/report/page.html, the page without its data. --check: compares instead of writing.
// The page holds its script and style, and a content security policy that names them by hash: nothing else runs, and
// nothing is fetched.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, '..', 'platform', 'report', 'page.html');
const hash = (text) => `'sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}'`;

const bundle = await build({
  entryPoints: [join(here, 'src', 'main.js')],
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['chrome110', 'firefox110', 'safari16'],
  charset: 'utf8',
  legalComments: 'none',
  write: false,
  outfile: 'bundle.js',
});
const output = (end) => bundle.outputFiles.find((file) => file.path.endsWith(end)).text.trim();
const uplotLicense = (await readFile(join(here, 'node_modules', 'uplot', 'LICENSE'), 'utf8')).trim();
const license = `/*! Gnomon, Apache-2.0. It contains uPlot:\n${uplotLicense} */\n`;
const script = (license + output('.js')).replaceAll('</', '<\\/');
const style = output('.css');
const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; ` +
  `base-uri 'none'; form-action 'none'`;

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>Gnomon report</title>
<style>${style}</style>
</head>
<body>
<noscript>This page draws its plots with the script it carries; please allow it to run.</noscript>
<div id="page"></div>
<script type="application/json" id="data">@GNOMON_REPORT_DATA@</script>
<script>${script}</script>
</body>
</html>
`;

if (process.argv.includes('--check')) {
  const committed = await readFile(target, 'utf8');
  if (committed !== page) {
    console.error('platform/report/page.html is not what report/src makes: run npm ci && npm run build in report/');
    process.exit(1);
  }
} else {
  await writeFile(target, page);
  console.log(`platform/report/page.html: ${page.length} bytes`);
}
