// SPDX-License-Identifier: Apache-2.0
// What gnomon diff found, as a section of the page.
import * as fmt from './format.js';
import { h } from './dom.js';
import { table, waterfallOf } from './sections.js';

/// A bar to the right for more, to the left for less; full at a factor of two.
function bar(percent) {
  const share = percent === null ? 1 : Math.min(1, Math.abs(percent) / 100);
  return h('td', { class: 'change', 'aria-hidden': 'true' },
    h('span', { class: percent !== null && percent < 0 ? 'less' : 'more', style: { width: `${50 * share}%` } }));
}

function changes(variant) {
  if (variant.changed.length === 0) return h('p', {}, `None of ${variant.compared} metrics changed beyond the noise.`);
  const rows = variant.changed.map((c) => [
    c.metric,
    h('td', { dataset: { diff: variant.name, metric: c.metric, side: 'a', value: String(c.a) }, title: String(c.a) }, fmt.metric(c.metric, c.a)),
    h('td', { dataset: { diff: variant.name, metric: c.metric, side: 'b', value: String(c.b) }, title: String(c.b) }, fmt.metric(c.metric, c.b)),
    c.change_percent === null ? 'new' : fmt.signed(fmt.points(c.change_percent), c.change_percent),
    bar(c.change_percent),
    c.ci95 ? `${fmt.metric(c.metric, c.b - c.a)} ± ${fmt.metric(c.metric, c.ci95)}` : 'exact',
  ]);
  return table(['metric', 'A', 'B', 'change', '', 'difference'], rows);
}

export function diffSection(diff) {
  return h('section', { class: 'diff', 'aria-label': 'What changed' },
    h('h2', {}, 'What changed'),
    h('p', { class: 'lead' }, `A: ${diff.a}`, h('br'), `B: ${diff.b}`),
    diff.notes.map((note) => h('p', { class: 'note' }, note)),
    diff.variants.map((variant) => h('article', {},
      h('h3', {}, variant.name),
      variant.parting && h('pre', { class: 'parting' }, variant.parting),
      variant.blame.length > 0 && h('figure', {}, h('figcaption', {}, 'Latency of an I/O, from A to B'),
        waterfallOf('A', new Map(variant.blame.map((c) => [c.cause, c.a])), 'B', new Map(variant.blame.map((c) => [c.cause, c.b])))),
      changes(variant))));
}
