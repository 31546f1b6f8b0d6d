// The strip of pages: small pictures, of which only those in sight are asked for.

import { find, h } from "./elements.js";
import { OptionList } from "./option_list.js";
import { t } from "./texts.js";

const ROW_PX = 168;
const STILL_MS = 120;

export class PageStrip {
  constructor(state) {
    this.state = state;
    this.element = find("strip");
    this.list = new OptionList(this.element, {
      size: ROW_PX, fill: (row, at) => this.#fill(row, state.numbers[at]), choose: (at) => state.open(state.numbers[at]),
    });
    state.on("about", () => this.#set());
    state.on("page", () => this.list.show(state.placeOf(state.number)));
  }

  #set() {
    const { numbers } = this.state;
    this.element.hidden = numbers.length < 2;
    const seen = `${numbers.length} ${this.state.about.read.length} ${this.state.about.state}`;
    if (seen === this.seen) return;
    this.seen = seen;
    this.list.set(numbers.length, this.state.placeOf(this.state.number));
  }

  #fill(row, number) {
    const { about, id } = this.state;
    const isRead = this.state.isRead(number);
    const failed = about.failed?.[number];
    const image = h("img", { alt: "", decoding: "async", width: 120, height: 132 });
    // the gateway draws each: none that is only scrolled past is asked for
    setTimeout(() => { if (row.isConnected) image.src = `/reader/jobs/${id}/pages/${number}/thumbnail`; }, STILL_MS);
    image.addEventListener("load", () => image.classList.add("loaded"));
    const name = failed ? t("viewer.strip.failed", { n: number }) : isRead ? t("viewer.strip.page", { n: number }) : t("viewer.strip.waiting", { n: number });
    row.setAttribute("aria-label", name);
    row.title = name;
    row.classList.toggle("waiting", !isRead);
    row.classList.toggle("failed", Boolean(failed));
    row.append(h("span.sheet-of-strip", {}, image), h("span.page-number", { "aria-hidden": "true" }, String(number)));
  }
}
