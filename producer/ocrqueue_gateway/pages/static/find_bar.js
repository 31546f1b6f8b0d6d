// Find in the whole document: the gateway looks, part by part, and what is found is shown as it comes.

import { json } from "./api.js";
import { find, h, say, short } from "./elements.js";
import { problem } from "./notices.js";
import { OptionList } from "./option_list.js";
import { number, t } from "./texts.js";

const PAUSE_MS = 180;

export class FindBar {
  constructor(state) {
    Object.assign(this, { state, input: find("find"), round: 0, timer: null, wanted: 0 });
    this.list = new OptionList(find("find-list"), {
      size: 44, fill: (row, at) => this.#fill(row, state.found[at]), choose: (at) => this.#go(at),
    });
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#search(), PAUSE_MS);
      this.wanted = 0;
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.step(event.shiftKey ? -1 : 1);
      }
    });
    find("find-next").addEventListener("click", () => this.step(1));
    find("find-previous").addEventListener("click", () => this.step(-1));
    state.on("about", () => { if (this.input.value && state.about.state !== this.searchedIn) this.#search(); });
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  step(step) {
    if (this.timer !== null) {
      // who types and goes on at once means what was typed
      this.wanted = step;
      this.#search();
      return;
    }
    const { found, foundAt } = this.state;
    if (!found.length) { this.wanted = this.searching ? step : 0; return; }
    const from = foundAt < 0 ? (step > 0 ? this.#afterHere() - 1 : this.#afterHere()) : foundAt;
    this.#go((from + step + found.length) % found.length);
  }

  /** The first that stands on this page after the word, or on a later page. */
  #afterHere() {
    const { found, number: page, word } = this.state;
    const at = found.findIndex((hit) => hit.page > page || (hit.page === page && hit.first >= word));
    return at < 0 ? 0 : at;
  }

  async #go(at) {
    const { state } = this;
    const hit = state.found[at];
    state.setFound(state.found, at);
    this.list.show(at);
    this.#count();
    await state.open(hit.page, hit.first);
    if (hit.last > hit.first) state.select(hit.first, hit.last, "found");
    say(t("viewer.find.at", { n: at + 1, of: state.found.length, page: hit.page }));
  }

  async #search() {
    const { state } = this;
    clearTimeout(this.timer);
    this.timer = null;
    const text = this.input.value.trim();
    const round = (this.round += 1);
    this.searchedIn = state.about?.state;
    state.setFound([], -1);
    this.list.set(0);
    if (!text) { this.#count(); return; }
    let from = 0;
    let found = [];
    this.searching = true;
    try {
      while (from !== null) {
        const told = await json(`/reader/jobs/${state.id}/find?text=${encodeURIComponent(text)}&from=${from}`);
        if (round !== this.round) return; // another text is looked for
        found = found.concat(told.hits);
        from = told.next;
        state.setFound(found, state.foundAt);
        this.list.set(found.length, state.foundAt);
        this.#count(from !== null);
        if (this.wanted && found.length) {
          const { wanted } = this;
          this.wanted = 0;
          this.step(wanted);
        }
      }
    } catch (error) {
      if (error.code !== "job.not_finished") problem(error);
      find("find-count").textContent = error.code === "job.not_finished" ? t("viewer.find.not_yet") : "";
    } finally {
      if (round === this.round) this.searching = false;
    }
  }

  #count(more = false) {
    const { found, foundAt } = this.state;
    const shown = find("find-count");
    if (!this.input.value.trim()) shown.textContent = "";
    else if (foundAt >= 0) shown.textContent = `${number(foundAt + 1)} / ${number(found.length)}`;
    else shown.textContent = t("viewer.find.count", { n: found.length }) + (more ? " …" : "");
    find("find-next").disabled = find("find-previous").disabled = found.length === 0;
    find("find-empty").hidden = Boolean(this.input.value.trim());
  }

  #fill(row, hit) {
    row.append(
      h("span.page-number", {}, t("viewer.page_short", { n: hit.page })),
      h("bdi.context", {}, short(hit.before, 80).slice(-60), " ", h("mark", {}, short(hit.found, 60)), " ", short(hit.after, 60)),
    );
  }
}
