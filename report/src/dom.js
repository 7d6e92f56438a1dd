// SPDX-License-Identifier: Apache-2.0
// Elements without innerHTML: what a result says can never become markup.

const svgTags = new Set(['svg', 'g', 'rect', 'line', 'circle', 'path', 'text', 'title']);

/// h('td', { class: 'n', dataset: { value: 3 } }, 'text', child, [more]): null and false are left out.
export function h(tag, attributes = {}, ...children) {
  const element = svgTags.has(tag) && tag !== 'title'
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag);
  return fill(element, attributes, children);
}

export function svgTitle(text) {
  const title = document.createElementNS('http://www.w3.org/2000/svg', 'title');
  title.textContent = text;
  return title;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name === 'style') for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

let ids = 0;
export const newId = (prefix) => `${prefix}-${++ids}`;
