// Bars over time. Arrow keys go from one to the next, as the pointer does, and tell what it stands for.

import { h } from "../elements.js";
import { language, number, t } from "../texts.js";
import { setText } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });

function shape(kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** The least of 1, 2, 5, 10, 20, ... that is not below. */
export function roundUp(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((each) => each * size).find((each) => each >= value) ?? value;
}

export class Chart {
  /** `parts`: `{name, label}` of what is stacked, the lowest first; `name` is the class of its bars. */
  constructor(element, title, parts) {
    Object.assign(this, { element, title, parts, at: null, told: null });
    this.total = h("span.dim");
    this.tip = h("p.tip");
    this.most = h("span.most");
    this.svg = shape("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.plot = h("div.plot", {
      tabindex: "0", role: "slider", "aria-label": title, "aria-valuemin": "0",
      keydown: (event) => this.#key(event),
      pointermove: (event) => this.#point(event),
      pointerleave: () => this.#choose(null),
      blur: () => this.#choose(null),
      focus: () => this.#choose(this.at ?? this.#last()),
    }, this.most, this.svg);
    this.times = h("div.times", { "aria-hidden": "true" }, h("span"), h("span"), h("span"));
    const legend = h("ul.legend", {}, ...parts.map((part) => h("li", {}, h(`span.sample.${part.name}`, { "aria-hidden": "true" }), part.label)));
    element.append(h("div.chart-head", {}, h("h3", {}, title), this.total, legend), this.plot, this.times, this.tip);
  }

  /** `since` and `period_s` as the API tells them; `values`: by part's name, one for each period. */
  show({ since, period_s: periodS, values }) {
    this.told = { start: new Date(since).getTime(), periodMs: periodS * 1000, values };
    const count = values[this.parts[0].name].length;
    const sums = Array.from({ length: count }, (_, index) => this.parts.reduce((sum, part) => sum + values[part.name][index], 0));
    const top = roundUp(Math.max(...sums, 1));
    setText(this.most, number(top));
    setText(this.total, number(sums.reduce((sum, each) => sum + each, 0)));
    this.svg.setAttribute("viewBox", `0 0 ${count * 10} ${HEIGHT}`);
    const bars = [shape("line", { x1: 0, x2: count * 10, y1: HEIGHT / 2, y2: HEIGHT / 2, class: "half" })];
    for (let index = 0; index < count; index += 1) {
      let y = HEIGHT;
      for (const part of this.parts) {
        const value = values[part.name][index];
        if (!value) continue;
        const tall = Math.max((value / top) * HEIGHT, 1.5);
        y -= tall;
        bars.push(shape("rect", { x: index * 10 + 1, width: 8, y: Math.max(0, y), height: tall, class: part.name }));
      }
    }
    this.chosen = shape("rect", { y: 0, width: 10, height: HEIGHT, class: "chosen", x: -20 });
    this.svg.replaceChildren(this.chosen, ...bars);
    const ends = [0, Math.floor(count / 2), count];
    ends.forEach((index, place) => setText(this.times.children[place], clock.format(this.told.start + index * this.told.periodMs)));
    this.plot.setAttribute("aria-valuemax", String(count - 1));
    this.#choose(this.at === null ? null : Math.min(this.at, count - 1));
  }

  #last() { return this.told ? this.told.values[this.parts[0].name].length - 1 : null; }

  #choose(index) {
    this.at = index;
    if (!this.told) return;
    const shown = index ?? this.#last();
    const from = this.told.start + shown * this.told.periodMs;
    const counts = this.parts.map((part) => `${part.label} ${number(this.told.values[part.name][shown])}`).join(", ");
    const text = t("operate.charts.at", { from: clock.format(from), to: clock.format(from + this.told.periodMs), counts });
    setText(this.tip, text);
    this.plot.setAttribute("aria-valuenow", String(shown));
    this.plot.setAttribute("aria-valuetext", text);
    this.chosen.setAttribute("x", String(index === null ? -20 : index * 10));
  }

  #point(event) {
    if (!this.told) return;
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    this.#choose(Math.min(this.#last(), Math.max(0, Math.floor(share * (this.#last() + 1)))));
  }

  #key(event) {
    const last = this.#last();
    const at = this.at ?? last;
    const steps = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: last };
    if (!(event.key in steps) || last === null) return;
    event.preventDefault();
    this.#choose(Math.min(last, Math.max(0, steps[event.key])));
  }
}
