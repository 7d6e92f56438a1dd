// SPDX-License-Identifier: Apache-2.0
// Numbers as engineers read them: three or four digits, one unit.

function scaled(value, step, units) {
  let unit = 0;
  let v = value;
  while (Math.abs(v) >= step && unit + 1 < units.length) { v /= step; unit += 1; }
  return [v, units[unit]];
}

const digits = (v) => {
  if (v === 0) return '0';
  const a = Math.abs(v);
  return a >= 1000 ? v.toFixed(0) : a >= 100 ? v.toFixed(1) : a >= 10 ? v.toFixed(2) : a >= 0.01 ? v.toFixed(3)
    : v.toPrecision(2);
};

const short = (v) => (Math.abs(v) >= 1000 ? v.toFixed(0) : String(Number(v.toPrecision(3))));
const joinWith = (f, [v, unit]) => (unit === '' ? f(v) : `${f(v)} ${unit}`);
const join = (pair) => joinWith(digits, pair);

export const time = (ns) => join(scaled(ns, 1000, ['ns', 'µs', 'ms', 's']));
export const bandwidth = (bytes) => join(scaled(bytes, 1024, ['B/s', 'KiB/s', 'MiB/s', 'GiB/s']));
export const bytes = (n) => join(scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB']));
export const count = (n) => join(scaled(n, 1000, ['', 'k', 'M', 'G']));
export const rate = (n) => `${count(n)}/s`;
export const percent = (share) => `${digits(100 * share)} %`;
export const plain = digits;
export const points = (value) => `${value.toFixed(1)} %`;
export const signed = (text, value) => (value > 0 ? `+${text}` : text);

/// The same for the ticks of an axis: as few digits as tell them apart.
const units = new Map([[time, [1000, ['ns', 'µs', 'ms', 's']]], [bandwidth, [1024, ['B/s', 'KiB/s', 'MiB/s', 'GiB/s']]],
  [count, [1000, ['', 'k', 'M', 'G']]], [rate, [1000, ['/s', 'k/s', 'M/s', 'G/s']]]]);
export function tickOf(format) {
  if (format === percent) return (v) => `${short(100 * v)} %`;
  if (format === plain) return short;
  const unit = units.get(format);
  return unit ? (v) => (v === 0 ? '0' : joinWith(short, scaled(v, ...unit))) : format;
}
/// Ticks that are round in the unit they are told in.
export function ticksOf(format, min, max) {
  const step = units.get(format)?.[0] ?? 1000;
  const unit = format === percent ? 0.01 : step ** Math.max(0, Math.floor(Math.log(Math.max(max, 1)) / Math.log(step)));
  return ticks(min / unit, max / unit).map((v) => v * unit);
}

const bitRate = (v) => join(scaled(v, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']));
const seconds = (v) => `${digits(v)} s`;
const byteSeconds = (v) => `${digits(v)} B·s`;
units.set(bitRate, [1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']]);

/// How a metric is written, by the unit its name ends with.
export function formatOf(name) {
  if (/bw_bytes_per_s$/.test(name)) return bandwidth;
  if (/bits_per_s$/.test(name)) return bitRate;
  if (/_ns(\.|$)/.test(name)) return time;
  if (/(_|\.)bytes$/.test(name)) return bytes;
  if (/fraction$/.test(name)) return percent;
  if (/byte_seconds$/.test(name)) return byteSeconds;
  if (/_s$/.test(name)) return seconds;
  return count;
}
export const metric = (name, value) => formatOf(name)(value);

/// Ticks at 1, 2 or 5 times a power of ten that cover [0, max] or [min, max].
export function ticks(min, max, wanted = 5) {
  const span = max - min;
  if (!(span > 0)) return [min];
  const raw = span / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const out = [];
  for (let i = Math.ceil(min / step); i * step <= max * (1 + 1e-9); i += 1) out.push(i * step);
  return out;
}
