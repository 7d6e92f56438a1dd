// SPDX-License-Identifier: Apache-2.0
// The page of gnomon report and gnomon diff, drawn from the data it carries.
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { h, newId } from './dom.js';
import { diffSection } from './diff.js';
import { Result } from './result.js';
import * as sections from './sections.js';
import { nextTheme, watchTheme } from './theme.js';

const most = 8;  // variants that plots show at first: as many as there are colours

function chips(result, charts) {
  const toggle = (variant, visible) => charts.forEach((chart) => chart.show(variant.index, visible));
  return h('fieldset', { class: 'chips' }, h('legend', {}, 'Lines'), result.variants.filter((v) => result.series(v)).map((variant, i) => {
    const box = h('input', { type: 'checkbox', checked: i < most, onchange: (event) => toggle(variant, event.target.checked) });
    if (i >= most) toggle(variant, false);
    return h('label', {}, box, h('span', { class: `swatch back-${variant.index % 8}` }), variant.name);
  }));
}

function resultArticle(data) {
  const result = new Result(data);
  const { summary } = result;
  const id = newId('result');
  const charts = [];
  const body = [
    sections.published(result), sections.blame(result), sections.overTime(result, charts), sections.latency(result, charts),
    sections.exits(result), sections.invalidation(result), sections.iotlb(result, charts), sections.refills(result), sections.locks(result),
    sections.exposure(result, charts), sections.findings(result), sections.allMetrics(result), sections.configuration(result),
  ].filter(Boolean);
  const overview = sections.overview(result);
  const links = [overview, ...body].map((s) => [s.dataset.title, s.getAttribute('aria-labelledby')]);
  const seeds = result.repeat > 1 ? `seeds ${summary.seed} to ${summary.seed + result.repeat - 1}` : `seed ${summary.seed}`;
  const article = h('article', { class: 'result', 'aria-labelledby': id },
    h('h2', { id }, summary.scenario), h('p', { class: 'title' }, summary.title),
    h('p', { class: 'facts' }, `Gnomon ${summary.gnomon}, ${seeds}, ${result.folder}`),
    overview,
    h('nav', { 'aria-label': `Sections of ${summary.scenario}` }, links.map(([title, to]) => h('a', { href: `#${to}` }, title))),
    charts.length > 0 && result.variants.length > 1 && chips(result, charts),
    body);
  return { id, name: summary.scenario, article };
}

function page(data) {
  const results = data.results.map(resultArticle);
  document.title = `Gnomon: ${results.map((r) => r.name).join(', ')}`;
  const theme = h('button', { type: 'button', class: 'theme', onclick: () => { theme.textContent = `Theme: ${nextTheme()}`; } }, 'Theme: auto');
  return [
    h('header', {}, h('h1', {}, 'Gnomon'),
      results.length > 1 && h('nav', { 'aria-label': 'Results' }, results.map((r) => h('a', { href: `#${r.id}` }, r.name))), theme),
    h('main', {}, data.diff && diffSection(data.diff), results.map((r) => r.article)),
    h('footer', {}, 'Written by gnomon report. Drag across a plot to zoom, double-click or Escape to see everything.'),
  ].filter(Boolean);
}

watchTheme();
document.getElementById('page').replaceChildren(...page(JSON.parse(document.getElementById('data').textContent)));
document.documentElement.dataset.drawn = 'true';
