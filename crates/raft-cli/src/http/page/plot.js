// Two plots of the last minutes, as SVG.

import { make, setText, shape } from "./dom.js";
import { HISTORY_S } from "./state.js";

const HEIGHT = 170;
const LEFT = 54;
const BOTTOM = 22;
const TOP = 8;

/** A new line begins after a gap of so long. */
const GAP_MS = 5000;

export function ratePlot(place) {
  return new Plot(place, "Entries committed in each second", [
    { name: "entries/s", value: (sample) => sample.rate, show: (value) => number(value) },
  ], 4, (value) => number(value));
}

export function latencyPlot(place) {
  const show = (value) => {
    if (value >= 1e6) return `${number(value / 1e6)} s`;
    return value >= 1000 ? `${number(value / 1000)} ms` : `${Math.round(value)} µs`;
  };
  return new Plot(place, "How long appending took at the leader", [
    { name: "half of them", value: (sample) => sample.half, show },
    { name: "99 of 100", value: (sample) => sample.most, show },
  ], 1000, show);
}

/** Three digits are enough. */
function number(value) {
  if (value >= 10000) return `${(value / 1000).toFixed(0)}k`;
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(value < 10 ? 1 : 0);
}

/** The next of 1, 2, 5, 10, 20, ... that is not below. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? value;
}

class Plot {
  constructor(place, title, lines, least, label) {
    Object.assign(this, { title, lines, least, label, pointer: null });
    this.now = make("p", "plot-now");
    this.values = lines.map((line, number) => {
      const value = make("b", "", "–");
      const key = lines.length > 1 ? make("i", number ? "second" : "") : "";
      this.now.append(make("span", "", key, value, ` ${line.name}`));
      return value;
    });
    this.when = make("span", "when");
    this.now.append(this.when);
    this.svg = shape("svg", { role: "img", "aria-label": title });
    place.append(this.now, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  point(x) {
    this.pointer = x;
    if (this.state) this.show(this.state);
  }

  show(state) {
    this.state = state;
    const { samples, time, elections } = state;
    const width = this.svg.clientWidth || 400;
    const right = width - 2;
    const x = (at) => right - ((time - at) / (HISTORY_S * 1000)) * (right - LEFT);
    const values = samples.flatMap((sample) => this.lines.map((line) => line.value(sample) ?? 0));
    const top = ceiling(Math.max(this.least, ...values));
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
    const parts = [...this.frame(width, top, y)];
    for (const at of elections) {
      const line = shape("line", { class: "election", x1: x(at), x2: x(at), y1: TOP, y2: y(0) });
      line.append(shape("title", {}, "another leader"));
      parts.push(line);
    }
    this.lines.forEach((line, order) => parts.push(...this.drawn(line, order, samples, x, y)));
    const looked = this.looked(samples, x);
    if (this.pointer !== null && looked) {
      const at = x(looked.time);
      parts.push(shape("line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: y(0) }));
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
    this.tell(looked, time);
  }

  /** Lines of the grid with their words. */
  *frame(width, top, y) {
    for (const part of [0, 0.5, 1]) {
      const at = y(top * part);
      yield shape("line", { class: "grid", x1: LEFT, x2: width, y1: at, y2: at });
      yield shape("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, this.label(top * part));
    }
    const minutes = HISTORY_S / 60;
    for (let minute = 0; minute <= minutes; minute += 1) {
      const at = width - 2 - (minute / minutes) * (width - 2 - LEFT);
      const anchor = minute === 0 ? "end" : minute === minutes ? "start" : "middle";
      const words = minute === 0 ? "now" : `−${minute} min`;
      yield shape("text", { x: at, y: HEIGHT - 4, "text-anchor": anchor }, words);
    }
  }

  /** The line, and for the first one the area below it. */
  drawn(line, order, samples, x, y) {
    let path = "";
    let area = "";
    let before = null;
    for (const sample of samples) {
      const value = line.value(sample);
      if (value === null) {
        if (before) area += `V${y(0)}Z`;
        before = null;
        continue;
      }
      const [px, py] = [x(sample.time).toFixed(1), y(value).toFixed(1)];
      const isFirst = !before || sample.time - before.time > GAP_MS;
      if (isFirst && before) area += `V${y(0)}Z`;
      path += `${isFirst ? "M" : "L"}${px} ${py}`;
      area += isFirst ? `M${px} ${y(0)}V${py}` : `L${px} ${py}`;
      before = sample;
    }
    if (before) area += `V${y(0)}Z`;
    const drawn = [shape("path", { class: order ? "line second" : "line", d: path })];
    if (!order) drawn.unshift(shape("path", { class: "area", d: area }));
    return drawn;
  }

  /** The sample under the pointer, or the last one. */
  looked(samples, x) {
    if (this.pointer === null) return samples.at(-1) ?? null;
    const away = (sample) => Math.abs(x(sample.time) - this.pointer);
    return samples.reduce((best, sample) => (best && away(best) <= away(sample) ? best : sample), null);
  }

  tell(sample, time) {
    this.lines.forEach((line, order) => {
      const value = sample && line.value(sample);
      setText(this.values[order], value === null || value === undefined ? "–" : line.show(value));
    });
    const ago = sample && this.pointer !== null ? Math.round((time - sample.time) / 1000) : 0;
    setText(this.when, ago ? `${ago} s ago` : "");
    const words = this.lines.map((line, order) => `${this.values[order].textContent} ${line.name}`);
    this.svg.setAttribute("aria-label", `${this.title}; now ${words.join(", ")}`);
  }
}
