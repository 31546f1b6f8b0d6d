// Two engines side by side: line by line, what differs marked in both.

import { find, h, short } from "./elements.js";
import { number, percent, t } from "./texts.js";

const AT_ONCE = 300;

export class Compare {
  constructor(state) {
    this.state = state;
    this.body = find("compare-lines");
    find("compare-with").addEventListener("change", (event) => state.setCompared(event.target.value));
    find("compare-all").addEventListener("change", () => this.#fill());
    find("difference-next").addEventListener("click", () => state.stepDifference(1));
    find("difference-previous").addEventListener("click", () => state.stepDifference(-1));
    this.body.addEventListener("click", (event) => {
      const word = event.target.closest("[data-word]");
      if (word) state.goTo(Number(word.dataset.word));
    });
    state.on("about page", () => this.#choices());
    state.on("compare", () => this.#fill());
    state.on("word", () => this.#mark());
  }

  /** Whether the tab is the one that is seen. */
  set shown(now) {
    this.isShown = now;
    const engines = this.#engines();
    this.state.setCompared(now && engines.length ? find("compare-with").value || engines[0] : null);
  }

  #engines() { return Object.keys(this.state.page?.others ?? {}); }

  #choices() {
    const engines = this.#engines();
    const choice = find("compare-with");
    const before = choice.value;
    choice.replaceChildren(...engines.map((name) => h("option", { value: name }, name)));
    if (engines.includes(before)) choice.value = before;
    find("compare-none").hidden = engines.length > 0;
    find("compare-tools").hidden = engines.length === 0;
    if (this.isShown) this.shown = true;
    this.#fill();
  }

  #fill() {
    const { page, compared } = this.state;
    const round = (this.round = (this.round ?? 0) + 1);
    this.body.replaceChildren();
    if (!page || !compared) return;
    find("compare-first").textContent = page.engine;
    find("compare-second").textContent = compared;
    const differing = Object.keys(page.others[compared] ?? {}).length;
    find("compare-summary").textContent = t("viewer.compare.summary", { n: differing, of: number(page.count), share: percent(page.count ? 1 - differing / page.count : 1) });
    const lines = [];
    for (let line = 0; line < page.lineEnds.length; line += 1) {
      if (find("compare-all").checked || this.#lineDiffers(line)) lines.push(line);
    }
    const add = (from) => {
      if (round !== this.round) return;
      this.body.append(...lines.slice(from, from + AT_ONCE).map((line) => this.#row(line)));
      if (from + AT_ONCE < lines.length) requestAnimationFrame(() => add(from + AT_ONCE));
    };
    add(0);
    this.#mark();
  }

  #lineDiffers(line) {
    const { page, compared } = this.state;
    for (let index = page.firstOf(line); index < page.endOf(line); index += 1) if (page.differs(index, compared)) return true;
    return false;
  }

  #row(line) {
    const { page, compared } = this.state;
    const sides = [[], []];
    for (let index = page.firstOf(line); index < page.endOf(line); index += 1) {
      const space = page.joined.has(index) ? "" : " ";
      if (!page.differs(index, compared)) {
        for (const side of sides) side.push(page.shown(index) + space);
        continue;
      }
      const other = page.others[compared][index];
      sides[0].push(h("del", { "data-word": index }, page.shown(index)), space);
      sides[1].push(other === null
        ? h("ins.nothing", { "data-word": index, title: t("viewer.compare.nothing") }, "∅")
        : h("ins", { "data-word": index }, h("bdi", {}, short(other, 200))), space);
    }
    return h("tr", {}, ...sides.map((parts) => h("td", { dir: "auto" }, ...joinTexts(parts))));
  }

  #mark() {
    for (const each of this.body.querySelectorAll(".current")) each.classList.remove("current");
    const found = this.body.querySelectorAll(`[data-word="${this.state.word}"]`);
    for (const each of found) each.classList.add("current");
    found[0]?.scrollIntoView({ block: "nearest" });
  }
}

/** Texts that follow each other as one, so that there are few nodes. */
function joinTexts(parts) {
  const made = [];
  for (const part of parts) {
    if (typeof part === "string" && typeof made.at(-1) === "string") made[made.length - 1] += part;
    else made.push(part);
  }
  return made;
}
