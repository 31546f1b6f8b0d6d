// The page's doubtful words as a list, and the threshold below which a word is one.

import { find, h } from "./elements.js";
import { notice, problem } from "./notices.js";
import { OptionList } from "./option_list.js";
import { BANDS, bandOf } from "./picture.js";
import { number, percent, t } from "./texts.js";

const AROUND = 3;

export class Doubtful {
  constructor(state) {
    Object.assign(this, { state, words: [] });
    this.list = new OptionList(find("doubtful-list"), {
      size: 44, fill: (row, at) => this.#fill(row, this.words[at]), choose: (at) => state.goTo(this.words[at]),
    });
    find("threshold").addEventListener("input", (event) => state.setBelow(Number(event.target.value)));
    find("doubtful-next").addEventListener("click", () => this.step(1));
    find("doubtful-previous").addEventListener("click", () => this.step(-1));
    state.on("page threshold", () => this.#collect());
    state.on("word", () => this.list.show(this.words.indexOf(state.word)));
  }

  async step(step) {
    try {
      if (!await this.state.stepDoubtful(step)) this.#tell(t(step > 0 ? "viewer.doubtful.last" : "viewer.doubtful.first"));
    } catch (error) {
      if (error.code === "job.not_finished") this.#tell(t("viewer.doubtful.not_yet"));
      else problem(error);
    }
  }

  /** One notice, however often a key is pressed. */
  #tell(text) {
    this.told?.remove();
    this.told = notice("done", text);
  }

  #collect() {
    const { page, below, word } = this.state;
    this.words = [];
    for (let index = 0; index < (page?.count ?? 0); index += 1) if (page.isDoubtful(index, below)) this.words.push(index);
    find("threshold-value").textContent = percent(below / 100);
    find("doubtful-count").textContent = page ? number(this.words.length) : "";
    find("doubtful-none").hidden = !page || this.words.length > 0;
    this.list.set(this.words.length, this.words.indexOf(word));
  }

  #fill(row, index) {
    const { page } = this.state;
    const line = page.lineOf(index);
    const first = Math.max(page.firstOf(line), index - AROUND);
    const last = Math.min(page.endOf(line) - 1, index + AROUND);
    const cut = (from, to) => (from > to ? "" : page.join(from, to).slice(0, 80));
    row.append(
      h(`span.band.${BANDS[bandOf(page.confidence[index])].name}`, {}, percent(page.confidence[index] / 100)),
      h("bdi.context", {}, cut(first, index - 1), " ", h("strong", {}, page.shown(index).slice(0, 80)), " ", cut(index + 1, last)),
    );
  }
}
