// SPDX-License-Identifier: Apache-2.0
// The sections of a result, in the order of the questions one asks: is it right, how fast, and where does time go.
import * as fmt from './format.js';
import { h, newId } from './dom.js';
import { dotPlot, stackedBars, waterfall } from './bar_chart.js';
import { lineChart } from './line_chart.js';

/// A table of figures; the first column names the row. rows: [[header, ...cells]]; a cell is text or an element.
export function table(head, rows, caption) {
  return h('div', { class: 'scroll' }, h('table', {},
    caption && h('caption', {}, caption),
    h('thead', {}, h('tr', {}, head.map((text) => h('th', { scope: 'col' }, text)))),
    h('tbody', {}, rows.map((row) => h('tr', {},
      row.map((cell, i) => (cell instanceof HTMLTableCellElement ? cell
        : h(i === 0 ? 'th' : 'td', i === 0 ? { scope: 'row' } : {}, cell ?? '–'))))))));
}

const figures = (head, rows) => h('details', {}, h('summary', {}, 'Figures'), table(head, rows));

/// A cell that shows a metric and carries it exactly.
function cell(result, variant, name, show = fmt.metric) {
  const value = result.value(variant, name);
  if (value === undefined) return h('td', {}, '–');
  const ci = result.ci95(variant, name);
  return h('td', { dataset: { result: result.folder, variant: variant.name, metric: name, value: String(value) }, title: String(value) },
    show(name, value), ci > 0 && 100 * ci >= 0.005 * Math.abs(value) && h('small', {}, ` ± ${(100 * ci / Math.abs(value)).toFixed(2)} %`));
}

const section = (title, lead, ...content) => {
  const id = newId('section');
  return h('section', { 'aria-labelledby': id, dataset: { title } }, h('h3', { id }, title), lead && h('p', { class: 'lead' }, lead), content);
};

const legend = (names) => h('ul', { class: 'legend' }, names.map((name, i) =>
  h('li', {}, h('span', { class: `swatch back-${i % 8}${i >= 8 ? ' second' : ''}` }), name)));

export function overview(result) {
  const columns = [['bandwidth', 'io.bw_bytes_per_s'], ['IOPS', 'io.iops'], ['mean latency', 'io.lat_ns.mean'],
    ['median', 'io.lat_ns.p50'], ['99th percentile', 'io.lat_ns.p99'], ['worst', 'io.lat_ns.max'],
    ['goodput', 'net.bits_per_s'], ['map', 'api.map_ns.mean'], ['unmap', 'api.unmap_ns.mean'], ['CPUs busy', 'cpu.busy_fraction']];
  const used = columns.filter(([, name]) => result.variants.some((v) => result.value(v, name) > 0));
  const rows = result.all.map((v) => [
    [h('span', { class: `swatch back-${v.index % 8}` }), v.name],
    h('td', { class: v.status === 'ok' ? 'ok' : 'bad' }, v.status),
    ...used.map(([, name]) => cell(result, v, name)),
  ]);
  const wrong = result.all.filter((v) => v.explanation).map((v) => h('pre', { class: 'finding' }, `${v.name}: ${v.status}: ${v.explanation}`));
  return section('Variants', null, table(['variant', 'status', ...used.map(([title]) => title)], rows), wrong);
}

/// Half-width of the confidence interval of a ratio of independent means, to first order.
function ratioCi(result, name, a, b) {
  const [x, y] = [result.value(a, name), result.value(b, name)];
  if (!x || !y) return 0;
  return Math.abs(x / y) * Math.hypot(result.ci95(a, name) / x, result.ci95(b, name) / y);
}

function expectationCi(result, e) {
  const variant = result.byName(e.variant);
  if (!variant) return 0;
  const base = e.relative_to && result.byName(e.relative_to);
  return base ? ratioCi(result, e.metric, variant, base) : result.ci95(variant, e.metric);
}

export function published(result) {
  const all = result.summary.expectations;
  if (all.length === 0) return null;
  const groups = new Map();
  for (const e of all) {
    if (typeof e.value !== 'number' || typeof e.simulated !== 'number') continue;
    const name = e.relative_to ? `${e.metric} / ${e.relative_to}` : e.metric;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(e);
  }
  const plots = [...groups].map(([name, list]) => {
    const format = list[0].relative_to ? fmt.plain : fmt.formatOf(list[0].metric);
    return h('figure', {}, h('figcaption', {}, name), dotPlot(`${name}: published and simulated`, list.map((e) => ({
      label: e.variant, published: e.value, tolerance: e.tolerance ?? 0, simulated: e.simulated, ok: e.ok,
      ci95: expectationCi(result, e),
      text: e.value === 0 ? format(e.simulated) : fmt.signed(fmt.points(100 * (e.simulated / e.value - 1)), e.simulated - e.value),
    })), format));
  });
  const wanted = (e) => (e.status ?? (e.order ? e.order.join(' ') : typeof e.value === 'number'
    ? `${fmt.plain(e.value)}${e.tolerance ? ` ± ${fmt.plain(e.tolerance)}` : ''}`
    : [e.min !== undefined && `≥ ${fmt.plain(e.min)}`, e.max !== undefined && `≤ ${fmt.plain(e.max)}`].filter(Boolean).join(', ')));
  const rows = all.map((e, i) => [
    e.variant ?? 'order',
    h('td', { class: 'text' }, e.status ? 'status' : e.relative_to ? `${e.metric} / ${e.relative_to}` : e.metric),
    h('td', { dataset: typeof e.simulated === 'number' ? { result: result.folder, expectation: String(i), value: String(e.simulated) } : {} },
      typeof e.simulated === 'number' ? fmt.plain(e.simulated) : e.simulated ?? '–'),
    wanted(e),
    h('td', { class: e.ok === true ? 'ok' : e.ok === false ? 'bad' : '' }, e.ok === true ? 'holds' : e.ok === false ? `fails: ${e.reason ?? ''}` : 'skipped'),
    h('td', { class: 'text source' }, e.source),
  ]);
  const held = all.filter((e) => e.ok === true).length;
  return section('Published and simulated',
    plots.length > 0 && ['The dot is simulated', result.repeat > 1 ? ' (whiskers: 95 % confidence interval over repeats)' : '',
      ', the bar published, the band around it what the scenario tolerates.'],
    plots, h('details', { open: plots.length === 0 }, h('summary', {}, `All expectations: ${held} of ${all.length} hold`),
      table(['variant', 'figure', 'simulated', 'expected', 'verdict', 'source'], rows)));
}

/// A line a variant out of its series, up to the end of the measured window: a bin that it cuts would show the drain.
function lines(result, f) {
  return result.variants.flatMap((variant) => {
    const series = result.series(variant);
    if (!series) return [];
    const bins = Math.max(1, series.columns.ios.length - 1);
    const xs = [];
    const ys = [];
    for (let i = 0; i < bins; i += 1) {
      const y = f(series.columns, i, series.bin_ns * 1e-9);
      if (series.window_ns[1] !== null && (i + 1) * series.bin_ns > series.window_ns[1] && xs.length > 0) break;  // what is left drains
      if (y === undefined || y === null) continue;
      xs.push((i + 0.5) * series.bin_ns);
      ys.push(y);
    }
    return xs.length > 0 ? [{ name: variant.name, index: variant.index, xs, ys, window: series.window_ns }] : [];
  });
}

export function overTime(result, charts) {
  const wanted = [
    ['Bandwidth', (c, i, s) => c.bytes[i] / s, fmt.bandwidth],
    ['IOPS', (c, i, s) => c.ios[i] / s, fmt.rate],
    ['Mean latency', (c, i) => (c.ios[i] > 0 ? c.latency_ns[i] / c.ios[i] : null), fmt.time],
    ['Worst latency', (c, i) => (c.ios[i] > 0 ? c.latency_max_ns[i] : null), fmt.time],
    ['I/Os in flight, most', (c, i) => c.in_flight_max[i], fmt.count],
    ['VM exits', (c, i, s) => c.exits[i] / s, fmt.rate],
    ['Invalidations at the IOMMU', (c, i, s) => c.invalidations[i] / s, fmt.rate],
    ['Lock wait, CPUs spinning', (c, i, s) => c.lock_wait_ns[i] / (s * 1e9), fmt.plain],
  ];
  const sync = newId('time');
  const plots = wanted.map(([name, f, format]) => {
    const list = lines(result, f);
    if (list.length === 0 || list.every((line) => line.ys.every((y) => y === 0))) return null;
    const chart = lineChart(list, { label: `${name} over time`, x: { label: 'time', format: fmt.time }, y: { format }, sync });
    charts.push(chart);
    return h('figure', {}, h('figcaption', {}, name), chart.element);
  }).filter(Boolean);
  if (plots.length === 0) return null;
  const some = result.variants.map((v) => result.series(v)).find(Boolean);
  const first = result.repeat > 1 ? ` Of the repeats, this is seed ${result.summary.seed}.` : '';
  return section('Over time', `Simulated time. The measured window is white, the ramp-up before it grey; a lock wait counts where the lock was got. A point is a bin of ${fmt.time(some.bin_ns)} or as wide as the run needs for 512 of them.${first}`,
    h('div', { class: 'grid2' }, plots));
}

function cumulative(buckets) {
  const total = buckets.reduce((sum, [, n]) => sum + n, 0);
  let below = 0;
  return buckets.map(([ns, n]) => { below += n; return [Math.max(1, ns), below / total, (total - below) / total, total]; });
}

export function latency(result, charts) {
  const known = result.variants.map((v) => [v, cumulative(result.latency(v))]).filter(([, c]) => c.length > 0);
  if (known.length === 0) return null;
  const nines = (rest, total) => -Math.log10(Math.max(rest, 0.5 / total));
  const draw = (label, y, options) => {
    const list = known.map(([v, c]) => ({ name: v.name, index: v.index, xs: c.map((p) => p[0]), ys: c.map(y) }));
    const chart = lineChart(list, { label, stepped: true, x: { label: 'latency', format: fmt.time, log: true }, y: options, height: 280 });
    charts.push(chart);
    return h('figure', {}, h('figcaption', {}, label), chart.element);
  };
  const most = Math.max(...known.map(([, c]) => nines(0, c[0][3])));
  const nineText = (v) => { const n = 100 * (1 - 10 ** -v); return `${n.toFixed(Math.max(0, Math.ceil(v) - (Number.isInteger(v) ? 2 : 1)))} %`; };
  const summary = ['io.lat_ns.mean', 'io.lat_ns.p50', 'io.lat_ns.p99', 'io.lat_ns.max'];
  return section('Latency distribution', 'Of the measured window, in fio’s buckets (1/64 of a power of two wide). Left: the share of I/Os at or below a latency. Right: the same seen from its end, so that each step up is one more nine.',
    h('div', { class: 'grid2' },
      draw('Share of I/Os at or below', (p) => p[1], { format: fmt.percent, range: () => [0, 1.02] }),
      draw('The tail', (p) => nines(p[2], p[3]), { format: nineText, splits: Array.from({ length: Math.floor(most) + 1 }, (_, i) => i), range: () => [0, most * 1.04] })),
    figures(['variant', 'mean', 'median', '99th percentile', 'worst'], known.map(([v]) => [v.name, ...summary.map((n) => cell(result, v, n))])));
}

function blameOf(result, variant) {
  return new Map(Object.keys(variant.metrics).filter((n) => /^blame\.[^.]+_ns$/.test(n)).map((n) => [n, result.value(variant, n)]));
}
const causeName = (metric) => metric.replace(/^blame\./, '').replace(/_ns$/, '').replaceAll('_', ' ');

/// From the total of `a` to that of `b`, a step a cause, the largest first. a, b: Map of cause to ns.
export function waterfallOf(nameA, a, nameB, b) {
  const total = (m) => [...m.values()].reduce((sum, v) => sum + v, 0);
  let at = total(a);
  const steps = [...new Set([...a.keys(), ...b.keys()])].map((c) => [c, (b.get(c) ?? 0) - (a.get(c) ?? 0)]).filter(([, d]) => d !== 0)
    .sort((x, y) => Math.abs(y[1]) - Math.abs(x[1]));
  const rows = [{ label: nameA, from: 0, to: at, kind: 'total', text: fmt.time(at) }];
  for (const [cause, delta] of steps) {
    rows.push({ label: causeName(cause), from: at, to: at + delta, kind: delta > 0 ? 'worse' : 'better', text: fmt.signed(fmt.time(delta), delta) });
    at += delta;
  }
  rows.push({ label: nameB, from: 0, to: at, kind: 'total', text: `${fmt.time(at)} (×${fmt.plain(at / (total(a) || 1))})` });
  return waterfall(`From ${nameA} to ${nameB}`, rows, fmt.time);
}

export function blame(result) {
  const known = result.variants.filter((v) => blameOf(result, v).size > 0);
  if (known.length === 0) return null;
  const causes = [...new Set(known.flatMap((v) => [...blameOf(result, v).keys()]))]
    .filter((c) => known.some((v) => result.value(v, c) > 0));
  const bars = stackedBars('Where an I/O’s latency goes', known.map((v) => ({
    label: v.name, parts: causes.map((c, index) => ({ name: causeName(c), value: result.value(v, c) ?? 0, index })),
  })), fmt.time);
  const place = h('div');
  const select = (name, chosen) => h('select', { 'aria-label': name, onchange: () => draw() }, known.map((v) => h('option', { selected: v === chosen }, v.name)));
  const relative = result.summary.expectations.find((e) => e.relative_to)?.relative_to;
  const base = known.find((v) => v.name === relative) ?? known[0];
  const worst = known.filter((v) => v !== base).sort((a, b) => result.value(b, 'io.lat_ns.mean') - result.value(a, 'io.lat_ns.mean'))[0] ?? base;
  const from = select('from', base);
  const to = select('to', worst);
  const draw = () => place.replaceChildren(waterfallOf(from.value, blameOf(result, result.byName(from.value)),
    to.value, blameOf(result, result.byName(to.value))));
  draw();
  return section('Where the time goes', 'Mean time of an I/O, split over its causes without remainder.',
    h('figure', {}, legend(causes.map(causeName)), bars),
    known.length > 1 && h('figure', {}, h('figcaption', {}, 'From ', from, ' to ', to), place),
    figures(['variant', ...causes.map(causeName)], known.map((v) => [v.name, ...causes.map((c) => cell(result, v, c))])));
}

/// Stacked bars of metrics that share a prefix, per completed I/O.
function perIoBars(result, title, lead, names, label, format) {
  const used = names.filter((n) => result.variants.some((v) => result.value(v, n) > 0));
  const rows = result.variants.filter((v) => used.some((n) => result.perIo(v, n) > 0)).map((v) => ({
    label: v.name, parts: used.map((n, index) => ({ name: label(n), value: result.perIo(v, n) ?? 0, index })),
  }));
  if (rows.length === 0) return null;
  return section(title, lead, h('figure', {}, legend(used.map(label)), stackedBars(title, rows, format)),
    figures(['variant', ...used.map(label)], result.variants.map((v) => [v.name, ...used.map((n) => cell(result, v, n))])));
}

export function exits(result) {
  return perIoBars(result, 'VM exits by reason', 'Exits per completed I/O, named as perf kvm names them.',
    result.names('exits.by_reason.'), (n) => n.replace('exits.by_reason.', ''), fmt.plain);
}

export function locks(result) {
  return perIoBars(result, 'Lock waits', 'Time CPUs spun for each lock, per completed I/O.',
    result.names('lock.').filter((n) => n.endsWith('.wait_ns')), (n) => n.replace(/^lock\./, '').replace(/\.wait_ns$/, ''), fmt.time);
}

export function invalidation(result) {
  const [modified, covered] = ['invalidation.pages_modified', 'invalidation.pages_covered'];
  const known = result.variants.filter((v) => result.value(v, covered) > 0);
  if (known.length === 0) return null;
  const bars = stackedBars('Pages per invalidation command', known.map((v) => {
    const m = result.value(v, modified);
    const c = result.value(v, covered);
    const commands = result.value(v, 'guest.invalidation_commands') || 1;
    return { label: v.name, text: `${fmt.plain(c / commands)} covered, ×${m > 0 ? fmt.plain(c / m) : '∞'}`,
      parts: [{ name: 'modified', value: m / commands, index: 0 }, { name: 'covered in excess', value: Math.max(0, c - m) / commands, index: 1 }] };
  }), fmt.plain);
  const columns = ['guest.invalidation_commands', modified, covered, 'iotlb.invalidations.page', 'iotlb.invalidations.range', 'iotlb.invalidations.domain', 'iotlb.invalidations.global'];
  return section('Invalidated against modified pages', '4 KiB pages an invalidation command of the guest covers on average, and how many of them had changed. The rest is over-invalidation: translations lost for nothing.',
    h('figure', {}, legend(['modified', 'covered in excess']), bars),
    figures(['variant', ...columns], known.map((v) => [v.name, ...columns.map((c) => cell(result, v, c))])));
}

export function iotlb(result, charts) {
  const list = lines(result, (c, i) => { const n = c.iotlb_hits[i] + c.iotlb_misses[i]; return n > 0 ? c.iotlb_hits[i] / n : null; });
  if (list.length === 0) return null;
  const chart = lineChart(list, { label: 'IOTLB hit rate over time', x: { label: 'time', format: fmt.time }, y: { format: fmt.percent, range: () => [0, 1.02] } });
  charts.push(chart);
  const rate = (v) => { const [a, b] = [result.value(v, 'iotlb.hits'), result.value(v, 'iotlb.misses')]; return a + b > 0 ? fmt.percent(a / (a + b)) : '–'; };
  const columns = ['iotlb.hits', 'iotlb.misses', 'iotlb.evictions', 'iotlb.walk_reads'];
  return section('IOTLB hit rate', 'Share of DMA bursts whose translation the physical IOMMU held.', h('figure', {}, chart.element),
    figures(['variant', 'hit rate', ...columns], result.variants.map((v) => [v.name, rate(v), ...columns.map((c) => cell(result, v, c))])));
}

export function refills(result) {
  const reasons = ['cold', 'capacity', 'invalidated_modified', 'invalidated_unmodified'].map((n) => `iotlb.refills.${n}`);
  const known = result.variants.filter((v) => result.value(v, 'iotlb.misses') > 0 && result.value(v, reasons[0]) !== undefined);
  if (known.length === 0) return null;
  const label = (n) => n.replace('iotlb.refills.', '').replace('invalidated_', 'invalidated, ').replace('.', ' ');
  const bars = stackedBars('IOTLB refills by what evicted the entry', known.map((v) => ({
    label: v.name, parts: reasons.map((n, index) => ({ name: label(n), value: result.perIo(v, n) ?? 0, index })),
  })), fmt.plain);
  const after = ['page', 'range', 'domain', 'global'].map((n) => `iotlb.refills.after.${n}`);
  const columns = ['iotlb.misses', ...reasons, ...after];
  return section('IOTLB refills by what evicted the entry', 'Misses per completed I/O, each charged to its reason: the first use of a page, other entries, or an invalidation of a page that had changed, or had not (over-invalidation).',
    h('figure', {}, legend(reasons.map(label)), bars),
    figures(['variant', 'misses', ...[...reasons, ...after].map(label)], known.map((v) => [v.name, ...columns.map((c) => cell(result, v, c))])));
}

export function exposure(result, charts) {
  const known = result.variants.map((v) => [v, result.exposure(v)]).filter(([, buckets]) => buckets.length > 0);
  if (known.length === 0) return null;
  const list = known.map(([v, buckets]) => {
    const counts = new Map(buckets);
    const first = Math.log2(buckets[0][0]) - 1;
    const last = Math.log2(buckets[buckets.length - 1][0]);
    const total = buckets.reduce((sum, [, n]) => sum + n, 0);
    const [xs, ys] = [[], []];
    for (let i = first; i <= last; i += 1) { xs.push(2 ** i); ys.push((counts.get(2 ** (i + 1)) ?? 0) / total); }
    return { name: v.name, index: v.index, xs, ys };
  });
  const chart = lineChart(list, { label: 'How long unmapped pages stayed reachable', stepped: true, x: { label: 'from', format: fmt.time, log: true }, y: { format: fmt.percent } });
  charts.push(chart);
  const columns = ['exposure.max_ns', 'exposure.byte_seconds', 'exposure.dma_beats'];
  return section('Exposure', 'In lazy mode an unmapped page stays reachable for the device until its flush. Each step is the share of pages whose window lies in that power of two.',
    h('figure', {}, chart.element), figures(['variant', 'longest', 'bytes × time', 'DMA into it'], known.map(([v]) => [v.name, ...columns.map((c) => cell(result, v, c))])));
}

export function findings(result) {
  const known = result.variants.filter((v) => result.files[v.name]?.findings);
  if (known.length === 0) return null;
  return section('The sanitizer’s findings', null, known.map((v) => [h('h4', {}, v.name), h('pre', { class: 'finding' }, result.files[v.name].findings)]));
}

export function allMetrics(result) {
  const names = result.names('');
  const rows = names.filter((n) => result.variants.some((v) => result.value(v, n) !== undefined))
    .map((n) => [n, ...result.variants.map((v) => cell(result, v, n))]);
  const body = table(['metric', ...result.variants.map((v) => v.name)], rows);
  return section('All metrics', null, h('details', {}, h('summary', {}, `${rows.length} metrics`), filter(body, 'Filter metrics'), body));
}

function filter(body, label) {
  return h('input', { type: 'search', placeholder: label, 'aria-label': label, oninput: (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.querySelectorAll('tbody tr')) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  } });
}

export function configuration(result) {
  const row = ([key, value, origin], who) => h('tr', { class: who ? 'own' : null },
    h('th', { scope: 'row' }, key), h('td', { class: 'text' }, h('code', {}, value)), h('td', { class: 'text source' }, origin), h('td', { class: 'text' }, who ?? ''));
  const own = result.variants.flatMap((v) => (result.files[v.name]?.config ?? []).map((line) => [line, v.name]));
  const body = h('div', { class: 'scroll' }, h('table', { class: 'config' },
    h('thead', {}, h('tr', {}, ['key', 'value', 'origin', 'variant'].map((t) => h('th', { scope: 'col' }, t)))),
    h('tbody', {}, own.map(([line, name]) => row(line, name)), result.config.map((line) => row(line, null)))));
  return section('Effective configuration', null, h('details', {}, h('summary', {}, `${result.config.length} values with their origin; ${own.length} differ in variants`),
    filter(body, 'Filter configuration'), body));
}
