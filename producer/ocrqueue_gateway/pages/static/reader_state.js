// What the reader looks at: a job's document, the page, the word, what is selected. All parts of the view listen to it.

import { ask, json } from "./api.js";
import { PageWords } from "./page_words.js";

const KEPT_PAGES = 6;
const HURRY_MS = 120;
const AHEAD_MS = 400;
export const DOUBTFUL_BELOW = 80;

/** Events: job, about, page, picture, word, hover, selection, found, threshold, compare. */
export class ReaderState extends EventTarget {
  constructor(id) {
    super();
    Object.assign(this, {
      id, job: null, about: null, page: null, number: null, word: -1, hover: -1, selection: null, below: DOUBTFUL_BELOW,
      found: [], foundAt: -1, compared: null, pages: new Map(), failure: null, opening: null, stepping: Promise.resolve(), turnedAt: -Infinity,
    });
  }

  tell(name) { this.dispatchEvent(new Event(name)); }
  on(names, action) { for (const name of names.split(" ")) this.addEventListener(name, action); }

  async loadAbout() {
    this.about = await json(`/reader/jobs/${this.id}`);
    this.tell("about");
  }

  /** All pages that there will be, as far as it is known. */
  get numbers() {
    const read = this.about?.read ?? [];
    const all = this.about?.pages ?? this.job?.pages ?? 0;
    // a job at work names those that are read only; a selection of pages need not begin with the first
    return read.length >= all ? read : Array.from({ length: all }, (_, at) => at + 1);
  }

  isRead(number) { return this.about?.read.includes(number) ?? false; }
  placeOf(number) { return this.numbers.indexOf(number); }

  /** Look at a page; `word`: the id or number of a word on it, or "first" or "last" doubtful one. */
  open(number, word = null) {
    this.opening = this.#open(number, word);
    return this.opening;
  }

  async #open(number, word) {
    if (!this.numbers.includes(number)) return;
    const changed = number !== this.number;
    this.number = number;
    if (changed) {
      Object.assign(this, { page: null, word: -1, hover: -1, selection: null, failure: null });
      this.tell("page");
    }
    if (changed && await this.#passedOver(number)) return;
    if (!this.page && this.isRead(number)) {
      let page = null;
      try {
        page = await this.words(number);
      } catch (error) {
        if (this.number !== number) return;
        this.failure = error;
        this.tell("page");
        return;
      }
      if (this.number !== number) return; // another one was asked for meanwhile
      this.page = page;
      this.tell("page");
      this.#fetchNext(number);
    }
    if (!this.page || word === null) return;
    const index = typeof word === "string" ? this.#named(word) : word;
    if (index >= 0 && index < this.page.count) this.goTo(index);
  }

  /** Whether a page is only leafed over: where one follows the other at once, only the one that is stopped at is asked for. */
  async #passedOver(number) {
    const now = performance.now();
    const hurried = now - this.turnedAt < HURRY_MS;
    this.turnedAt = now;
    if (hurried) await new Promise((resolve) => { setTimeout(resolve, HURRY_MS); });
    return this.number !== number;
  }

  /** Who stays on a page has the next one at hand. */
  #fetchNext(number) {
    setTimeout(() => {
      const next = this.numbers[this.placeOf(number) + 1];
      // what is wrong with it is told when it is looked at
      if (this.number === number && next !== undefined && this.isRead(next)) this.words(next).catch(() => {});
    }, AHEAD_MS);
  }

  async words(number) {
    const final = this.about.state !== "running" && this.about.state !== "queued";
    const key = `${number} ${final}`;
    let page = this.pages.get(key);
    this.pages.delete(key);
    page ??= ask(`/reader/jobs/${this.id}/pages/${number}`).then((response) => response.json()).then((told) => new PageWords(told));
    this.pages.set(key, page);
    while (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
    try {
      return await page;
    } catch (error) {
      this.pages.delete(key);
      throw error;
    }
  }

  goTo(index) {
    this.word = index;
    this.selection = null;
    this.tell("word");
    this.tell("selection");
  }

  point(index) {
    if (index === this.hover) return;
    this.hover = index;
    this.tell("hover");
  }

  /** Words from first to last; `by`: the part of the view where it was done, which shows it already. */
  select(first, last, by) {
    const next = first < 0 ? null : { first: Math.min(first, last), last: Math.max(first, last), by };
    if (next?.first === this.selection?.first && next?.last === this.selection?.last) return;
    this.selection = next;
    this.tell("selection");
  }

  /** Move by words (`line` false) or lines; `extend` selects what is passed over. While the page is on its way it waits. */
  move(step, line, extend) {
    if (this.page) this.#move(step, line, extend);
    else this.opening?.then(() => { if (this.page) this.#move(step, line, extend); });
  }

  #move(step, line, extend) {
    if (!this.page.count) return;
    if (this.word < 0) { this.goTo(0); return; }
    const from = this.selection && extend ? this.#moving() : this.word;
    const to = line ? this.page.beside(from, step) : from + step;
    if (to < 0 || to >= this.page.count) return;
    if (!extend) { this.goTo(to); return; }
    this.anchor = this.selection ? this.anchor : this.word;
    this.moving = to;
    this.select(this.anchor, to, "keys");
  }

  #moving() { return this.selection.by === "keys" ? this.moving : this.selection.last; }

  setBelow(percent) {
    this.below = percent;
    this.tell("threshold");
  }

  setCompared(engine) {
    this.compared = engine;
    this.tell("compare");
  }

  setFound(hits, at) {
    this.found = hits;
    this.foundAt = at;
    this.tell("found");
  }

  #named(word) {
    const { page } = this;
    if (word === "first") {
      for (let index = 0; index < page.count; index += 1) if (page.isDoubtful(index, this.below)) return index;
      return -1;
    }
    if (word === "last") {
      for (let index = page.count - 1; index >= 0; index -= 1) if (page.isDoubtful(index, this.below)) return index;
      return -1;
    }
    return page.indexOf(word);
  }

  /** The next (1) or previous (-1) doubtful word, on this page or another. False: there is none. Steps follow each other:
   * one that is asked for while the page of the one before is on its way goes on from there. */
  stepDoubtful(step) {
    const stepped = this.stepping.then(() => this.#stepDoubtful(step));
    this.stepping = stepped.catch(() => {});
    return stepped;
  }

  async #stepDoubtful(step) {
    await this.opening;
    const { page } = this;
    if (!page) return false;
    for (let index = this.word < 0 && step > 0 ? 0 : this.word + step; index >= 0 && index < page.count; index += step) {
      if (page.isDoubtful(index, this.below)) { this.goTo(index); return true; }
    }
    let from = this.placeOf(this.number) + step;
    while (from !== null && from >= 0 && from < this.numbers.length) {
      const told = await json(`/reader/jobs/${this.id}/doubtful?below=${this.below}&from=${from}&step=${step}`);
      if (told.page !== null) { await this.open(told.page, step > 0 ? "first" : "last"); return true; }
      from = told.next;
    }
    return false;
  }

  /** The next or previous word of this page that the compared engine has read otherwise. */
  stepDifference(step) {
    const { page, compared } = this;
    if (!page || !compared) return false;
    for (let index = this.word < 0 && step > 0 ? 0 : this.word + step; index >= 0 && index < page.count; index += step) {
      if (page.differs(index, compared)) { this.goTo(index); return true; }
    }
    return false;
  }
}
