// How late consumers see changes: measured here, from an original's event to the event of its copy, and drawn.

import { h, plural, replace, svg } from "./dom.js";

const MINUTES = 3;
const WINDOW = MINUTES * 60 * 1000;
const MOST = 500;
const LATE = 60 * 1000; // a copy that comes later than this is another change's
const EARLY = 250; // the two come on connections of their own: the copy's event may be here first
const [HEIGHT, LEFT, RIGHT, BOTTOM, TOP] = [96, 56, 8, 18, 10];

/** Matches events of originals with those of one consumer's copies, by name and kind of event. Times in milliseconds. */
export class LagMeter {
  samples = [];
  #waiting = new Map();
  #early = new Map();

  original(type, name, at = performance.now()) {
    const key = keyFor(type, name);
    if (at - this.#early.get(key) < EARLY) this.#sample(key, at, 0);
    // A second change before the first is copied: the first is the one that waits.
    else if (!(at - this.#waiting.get(key) < LATE)) remember(this.#waiting, key, at);
  }

  copy(type, name, at = performance.now()) {
    const key = keyFor(type, name);
    const since = this.#waiting.get(key);
    if (at - since < LATE) this.#sample(key, at, at - since);
    else remember(this.#early, key, at);
  }

  #sample(key, at, lag) {
    this.#waiting.delete(key);
    this.#early.delete(key);
    this.samples.push({ at, lag });
  }

  /** The samples of the last minutes. */
  recent(now = performance.now()) {
    this.samples = this.samples.filter(({ at }) => now - at < WINDOW).slice(-MOST);
    return this.samples;
  }
}

function keyFor(type, name) {
  return `${type === "DELETED"} ${name}`;
}

function remember(times, key, at) {
  times.set(key, at);
  if (times.size > MOST) times.delete(times.keys().next().value);
}

/** Milliseconds for people. */
export function duration(milliseconds) {
  if (milliseconds < 1) return "a millisecond";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${Number((milliseconds / 1000).toPrecision(2))} s`;
}

export function quantile(values, q) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** The plot and a sentence under it; `draw()` brings them up to date. */
export class LagPlot {
  #meter;
  #plot = svg("svg", { class: "plot", role: "img", height: HEIGHT });
  #text = h("figcaption", { class: "caption" });
  element = h("figure", { class: "lag" }, this.#plot, this.#text);

  constructor(meter) {
    this.#meter = meter;
    this.draw();
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  draw(now = performance.now()) {
    const samples = this.#meter.recent(now);
    const lags = samples.map(({ lag }) => lag);
    this.#text.textContent = summary(lags);
    this.#plot.toggleAttribute("hidden", !samples.length);
    if (!samples.length) return;
    const width = Math.max(this.element.clientWidth, 200);
    const decades = Math.max(2, Math.ceil(Math.log10(Math.max(...lags))));
    const x = (at) => LEFT + (width - LEFT - RIGHT) * (1 - (now - at) / WINDOW);
    const y = (lag) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.log10(Math.max(lag, 1)) / decades);
    const line = (lag) => svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(lag), y2: y(lag), class: "grid" });
    const label = (text, at, height, anchor) => svg("text", { x: at, y: height, "text-anchor": anchor }, text);
    const ticks = Array.from({ length: decades + 1 }, (_, power) => 10 ** power);
    const minutes = Array.from({ length: MINUTES }, (_, at) => MINUTES - at);
    this.#plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#plot.setAttribute("aria-label", `Replication lag. ${summary(lags)}`);
    replace(
      this.#plot,
      ticks.map((lag) => [line(lag), label(duration(lag), LEFT - 8, y(lag) + 4, "end")]),
      minutes.map((ago) =>
        label(`${ago} min ago`, x(now - ago * 60000), HEIGHT - 2, ago === MINUTES ? "start" : "middle"),
      ),
      label("now", width - RIGHT, HEIGHT - 2, "end"),
      samples.length > 1 &&
        svg("polyline", {
          class: "trace",
          points: samples.map(({ at, lag }) => `${x(at).toFixed(1)},${y(lag).toFixed(1)}`).join(" "),
        }),
      samples.map(({ at, lag }) => svg("circle", { cx: x(at).toFixed(1), cy: y(lag).toFixed(1), r: 3, class: "dot" })),
    );
  }
}

function summary(lags) {
  if (!lags.length) return `No change in the last ${MINUTES} minutes: lag is measured here while changes happen.`;
  const [changes, half, slowest] = [
    plural(lags.length, "change"),
    duration(quantile(lags, 0.5)),
    duration(Math.max(...lags)),
  ];
  return `${changes} in ${MINUTES} minutes: half of them reached consumers within ${half}, the slowest in ${slowest}.`;
}
