// Small helpers for elements.

const SVG = "http://www.w3.org/2000/svg";

/** Hues of terms: neighbours differ clearly, and none is the red of errors. */
const HUES = [258, 165, 305, 80, 215, 345, 125];

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with a class, text or children. */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** A new SVG element with attributes and children. */
export function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets a text only where it changes, so that selections and screen readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Sets an attribute only where it changes. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Gives an element the colour of a term. */
export function setTerm(element, term) {
  if (element.dataset.term === String(term)) return;
  element.dataset.term = term;
  element.style.setProperty("--hue", HUES[(term + HUES.length - 1) % HUES.length]);
}

/** Whether the person asked for less motion. */
export function isStill() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** `1234567` bytes as `1.2 MB`. */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

/** Microseconds as a person reads them. */
export function micros(value) {
  if (!value) return "–";
  if (value < 1000) return `${value} µs`;
  if (value < 1e6) return `${(value / 1000).toFixed(value < 10000 ? 1 : 0)} ms`;
  return `${(value / 1e6).toFixed(1)} s`;
}

/** Milliseconds of a life as `3 h 12 m`. */
export function age(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
