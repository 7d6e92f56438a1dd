// SPDX-License-Identifier: Apache-2.0
// Lines over time or over latency, by uPlot, with a legend that reads the cursor and keys that move it.
import uPlot from 'uplot';
import { h } from './dom.js';
import { tickOf, ticksOf } from './format.js';
import { colour, css, dash, onThemeChange } from './theme.js';

const plots = new Set();
onThemeChange(() => plots.forEach((plot) => plot.redraw(false, true)));

/// Grey over what lies outside the measured windows of every line.
function windowShade(windows) {
  const known = windows.filter((w) => w && w[0] !== null && w[1] !== null);
  if (known.length === 0) return null;
  const from = Math.min(...known.map((w) => w[0]));
  const to = Math.max(...known.map((w) => w[1]));
  return {
    hooks: {
      drawClear: (u) => {
        const { left, top, width, height } = u.bbox;
        const x = (v) => Math.min(left + width, Math.max(left, u.valToPos(v, 'x', true)));
        u.ctx.save();
        u.ctx.fillStyle = css('--outside');
        u.ctx.fillRect(left, top, x(from) - left, height);
        u.ctx.fillRect(x(to), top, left + width - x(to), height);
        u.ctx.restore();
      },
    },
  };
}

function withKeys(wrap, u) {
  const xs = u.data[0];
  const move = (by) => {
    const at = u.cursor.idx ?? -1;
    const next = Math.max(0, Math.min(xs.length - 1, at + by));
    u.setCursor({ left: u.valToPos(xs[next], 'x'), top: u.over.clientHeight / 2 });
  };
  const zoom = (factor) => {
    const { min, max } = u.scales.x;
    const log = u.scales.x.distr === 3;
    const f = log ? Math.log10 : (v) => v;
    const inverse = log ? (v) => 10 ** v : (v) => v;
    const centre = u.cursor.idx === null || u.cursor.idx === undefined ? (f(min) + f(max)) / 2 : f(xs[u.cursor.idx]);
    u.setScale('x', { min: inverse(centre + (f(min) - centre) * factor), max: inverse(centre + (f(max) - centre) * factor) });
  };
  const keys = {
    ArrowLeft: (e) => move(e.shiftKey ? -10 : -1),
    ArrowRight: (e) => move(e.shiftKey ? 10 : 1),
    Home: () => move(-xs.length),
    End: () => move(xs.length),
    '+': () => zoom(0.5),
    '=': () => zoom(0.5),
    '-': () => zoom(2),
    Escape: () => u.setScale('x', { min: xs[0], max: xs[xs.length - 1] }),
  };
  wrap.addEventListener('keydown', (event) => {
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

/// lines: [{ name, index, xs, ys, window }], index choosing the colour. options: { label, x: { format, log }, y: { format,
/// range, ticks }, sync, stepped, height }. The chart follows the width of its place.
export function lineChart(lines, options) {
  const wrap = h('div', { class: 'chart', tabindex: '0', role: 'group', 'aria-label':
    `${options.label}. Arrow keys move the cursor, plus and minus zoom, Escape shows everything.` });
  const tables = lines.map((line) => [line.xs, line.ys]);
  const data = tables.length === 1 ? tables[0] : uPlot.join(tables, tables.map(() => [0, 0]));
  const axis = (extra) => ({
    stroke: () => css('--muted'),
    grid: { stroke: () => css('--grid'), width: 1 },
    ticks: { stroke: () => css('--grid'), width: 1 },
    font: '12px system-ui, sans-serif',
    ...extra,
  });
  const shade = windowShade(lines.map((line) => line.window));
  const config = {
    width: 600,
    height: options.height ?? 240,
    padding: [10, 26, 0, 0],
    cursor: { sync: options.sync ? { key: options.sync } : undefined, drag: { x: true, y: false }, points: { size: 6 } },
    legend: { live: true },
    scales: {
      x: { time: false, distr: options.x.log ? 3 : 1 },
      y: { distr: 1, range: options.y.range ?? ((u, min, max) => [0, max > 0 ? max * 1.06 : 1]) },
    },
    axes: [
      axis({ values: (u, vs) => vs.map((v) => (v === null ? '' : tickOf(options.x.format)(v))), space: 60, size: 30 }),
      axis({
        values: (u, vs) => vs.map((v) => (v === null ? '' : tickOf(options.y.format)(v))),
        splits: (u, i, min, max) => options.y.splits ?? ticksOf(options.y.format, min, max),
        size: 74,
      }),
    ],
    series: [
      { label: options.x.label, value: (u, v) => (v === null || v === undefined ? '–' : options.x.format(v)) },
      ...lines.map((line) => ({
        label: line.name,
        stroke: () => colour(line.index),
        width: 1.75,
        dash: dash(line.index),
        spanGaps: true,
        points: { show: line.xs.length < 3 },
        paths: options.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
        value: (u, v, s, i) => {
          if (i === null || i === undefined) return '–';
          let at = i;
          while (at > 0 && (u.data[s][at] === null || u.data[s][at] === undefined)) at -= 1;
          const value = u.data[s][at];
          return value === null || value === undefined ? '–' : options.y.format(value);
        },
      })),
    ],
    plugins: shade ? [shade] : [],
  };
  const plot = new uPlot(config, data, wrap);
  plots.add(plot);
  withKeys(wrap, plot);
  const fit = () => {
    const width = Math.floor(wrap.clientWidth);
    if (width > 0 && width !== plot.width) plot.setSize({ width, height: config.height });
  };
  new ResizeObserver(fit).observe(wrap);
  return { element: wrap, show: (index, visible) => {
    const at = lines.findIndex((line) => line.index === index);
    if (at >= 0) plot.setSeries(at + 1, { show: visible });
  } };
}
