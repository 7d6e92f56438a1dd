// SPDX-License-Identifier: Apache-2.0
// Light and dark, and the colours plots are drawn in. What is drawn on a canvas is drawn again when they change.

const listeners = new Set();
export const onThemeChange = (f) => listeners.add(f);
const changed = () => listeners.forEach((f) => f());

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const colours = 8;
/// The colour of variant or cause `i`; beyond the eighth they come again, dashed.
export const colour = (i) => css(`--series-${i % colours}`);
export const dash = (i) => [[], [8, 4], [3, 3], [10, 3, 3, 3]][Math.floor(i / colours) % 4];

const themes = ['auto', 'light', 'dark'];
export function nextTheme() {
  const root = document.documentElement;
  const next = themes[(themes.indexOf(root.dataset.theme ?? 'auto') + 1) % themes.length];
  root.dataset.theme = next;
  changed();
  return next;
}

let beforePrint = null;
export function watchTheme() {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  addEventListener('beforeprint', () => {
    beforePrint = document.documentElement.dataset.theme ?? 'auto';
    document.documentElement.dataset.theme = 'light';
    changed();
  });
  addEventListener('afterprint', () => {
    document.documentElement.dataset.theme = beforePrint ?? 'auto';
    changed();
  });
}
