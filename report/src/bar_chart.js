// SPDX-License-Identifier: Apache-2.0
// Horizontal bars and dots as SVG, a row a variant: sharp in print, and every mark says what it is when pointed at.
import { h, svgTitle } from './dom.js';
import { tickOf, ticksOf } from './format.js';

const width = 900;
const labelWidth = 190;
const valueWidth = 150;
const rowHeight = 26;
const plotWidth = width - labelWidth - valueWidth;

function frame(label, height, min, max, format, marks) {
  const x = (v) => labelWidth + ((v - min) / (max - min || 1)) * plotWidth;
  const grid = ticksOf(format, min, max).map((v) => [
    h('line', { x1: x(v), x2: x(v), y1: 4, y2: height - 20, class: 'grid' }),
    h('text', { x: x(v), y: height - 6, class: 'tick', 'text-anchor': 'middle' }, tickOf(format)(v)),
  ]);
  return h('svg', { class: 'bars', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
    svgTitle(label), grid, marks(x));
}

const rowY = (i) => 8 + i * rowHeight;
const heightOf = (rows) => 8 + rows * rowHeight + 24;
const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function rowLabel(text, y) {
  return h('text', { x: labelWidth - 10, y: y + 14, class: 'row', 'text-anchor': 'end' }, shorten(text, 27),
    svgTitle(text));
}

/// rows: [{ label, parts: [{ name, value, index }], text }]: parts beside one another, from 0.
export function stackedBars(label, rows, format) {
  const max = Math.max(...rows.map((r) => r.parts.reduce((sum, p) => sum + p.value, 0)), Number.MIN_VALUE);
  return frame(label, heightOf(rows.length), 0, max, format, (x) => rows.map((row, i) => {
    let at = 0;
    const y = rowY(i);
    return [rowLabel(row.label, y), row.parts.map((part) => {
      const left = x(at);
      at += part.value;
      const mark = h('rect', { x: left, y: y + 3, width: Math.max(0, x(at) - left), height: rowHeight - 9,
        class: `fill-${part.index % 8}${part.index >= 8 ? ' second' : ''}` },
      svgTitle(`${row.label}, ${part.name}: ${format(part.value)}`));
      return part.value > 0 ? mark : null;
    }), h('text', { x: x(at) + 8, y: y + 14, class: 'value' }, row.text ?? format(at))];
  }));
}

/// rows: [{ label, from, to, index, text }]: floating bars, a step to the right grows, to the left shrinks.
export function waterfall(label, rows, format) {
  const ends = rows.flatMap((r) => [r.from, r.to]);
  const min = Math.min(0, ...ends);
  const max = Math.max(...ends, Number.MIN_VALUE);
  return frame(label, heightOf(rows.length), min, max, format, (x) => rows.map((row, i) => {
    const y = rowY(i);
    const [left, right] = [x(Math.min(row.from, row.to)), x(Math.max(row.from, row.to))];
    return [
      rowLabel(row.label, y),
      i + 1 < rows.length && h('line', { x1: x(row.to), x2: x(row.to), y1: y + rowHeight - 6, y2: y + rowHeight + 3, class: 'step' }),
      h('rect', { x: left, y: y + 3, width: Math.max(1, right - left), height: rowHeight - 9, class: row.kind },
        svgTitle(`${row.label}: ${row.text}`)),
      h('text', { x: right + 8, y: y + 14, class: 'value' }, row.text),
    ];
  }));
}

/// rows: [{ label, published, tolerance, simulated, ci95, ok, text }], of one metric, on one scale.
export function dotPlot(label, rows, format) {
  const max = Math.max(...rows.flatMap((r) => [r.published + r.tolerance, r.simulated + r.ci95]), Number.MIN_VALUE);
  // Dots, unlike bars, need no zero: a group that lies close together is looked at closely.
  const low = Math.min(...rows.flatMap((r) => [r.published - r.tolerance, r.simulated - r.ci95]));
  const min = low > 0.6 * max ? low - 0.15 * (max - low) : 0;
  return frame(label, heightOf(rows.length), min, max + 0.02 * (max - min), format, (x) => rows.map((row, i) => {
    const y = rowY(i);
    const middle = y + 10;
    const [low, high] = [x(row.simulated - row.ci95), x(row.simulated + row.ci95)];
    return [
      rowLabel(row.label, y),
      h('line', { x1: labelWidth, x2: labelWidth + plotWidth, y1: middle, y2: middle, class: 'lane' }),
      h('rect', { x: x(Math.max(min, row.published - row.tolerance)), y: y + 3, height: rowHeight - 11, class: 'tolerance',
        width: x(row.published + row.tolerance) - x(Math.max(min, row.published - row.tolerance)) },
      svgTitle(`${row.label}: published ${format(row.published)} ± ${format(row.tolerance)}`)),
      h('line', { x1: x(row.published), x2: x(row.published), y1: y + 1, y2: y + rowHeight - 6, class: 'published' }),
      row.ci95 > 0 && h('path', { class: 'whisker',
        d: `M${low} ${middle - 5}V${middle + 5}M${low} ${middle}H${high}M${high} ${middle - 5}V${middle + 5}` }),
      h('circle', { cx: x(row.simulated), cy: middle, r: 5, class: row.ok === false ? 'simulated bad' : 'simulated' },
        svgTitle(`${row.label}: simulated ${format(row.simulated)}${row.ci95 > 0 ? ` ± ${format(row.ci95)}` : ''}`)),
      h('text', { x: labelWidth + plotWidth + 10, y: y + 14, class: row.ok === false ? 'value bad' : 'value' }, row.text),
    ];
  }));
}
