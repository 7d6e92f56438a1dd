// SPDX-License-Identifier: Apache-2.0
// One result folder as the sections read it.

const mean = (value) => (typeof value === 'object' && value !== null ? value.mean : value);

export class Result {
  constructor(data) {
    this.folder = data.folder;
    this.summary = data.summary;
    this.config = data.config;
    this.files = data.variants;
    this.all = this.summary.variants.map((variant, index) => ({ ...variant, index }));
    this.variants = this.all.filter((variant) => variant.status !== 'skipped');
  }

  /// The metric's value, or its mean over repeats; undefined where the run does not report it.
  value(variant, name) {
    const value = mean(variant.metrics[name]);
    return typeof value === 'number' ? value : undefined;
  }
  ci95(variant, name) {
    return variant.metrics[name]?.ci95 ?? 0;
  }
  byName(name) {
    return this.variants.find((variant) => variant.name === name);
  }
  /// Names of metrics that begin with `prefix`, of all variants, in order.
  names(prefix) {
    return [...new Set(this.variants.flatMap((v) => Object.keys(v.metrics)))].filter((n) => n.startsWith(prefix));
  }
  series(variant) {
    return this.files[variant.name]?.series ?? null;
  }
  latency(variant) {
    return this.files[variant.name]?.latency_ns ?? [];
  }
  exposure(variant) {
    return this.files[variant.name]?.exposure_ns ?? [];
  }
  perIo(variant, name) {
    const ios = this.value(variant, 'io.completed');
    const value = this.value(variant, name);
    return ios > 0 && value !== undefined ? value / ios : undefined;
  }
  get repeat() {
    return this.summary.repeat ?? 1;
  }
}
