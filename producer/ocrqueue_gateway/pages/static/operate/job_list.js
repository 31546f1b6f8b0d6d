// The list of jobs: as many as there are, of which those in sight are elements. Focus stays on the list; arrow keys move
// the row that is meant, Space selects it, Shift selects on the way, Enter opens it.

import { h, outside, short } from "../elements.js";
import { ago, duration, number, t } from "../texts.js";
import { VirtualList } from "../virtual_list.js";
import { stateElement } from "./common.js";

const FINAL = new Set(["succeeded", "partial", "failed", "cancelled"]);
export const isFinal = (job) => FINAL.has(job.state);
const NEAR_END = 40;

export class JobList {
  /** `onSelect` is told of another selection, `onEnd` when the end of what is known is near. */
  constructor(grid, { onSelect, onEnd }) {
    Object.assign(this, { grid, onSelect, onEnd, jobs: [], selected: new Set(), active: 0, anchor: 0, hasMore: false });
    const head = grid.firstElementChild;
    this.virtual = new VirtualList(grid, { size: this.#rowHeight(), row: (index) => this.#row(index), above: () => head.offsetHeight });
    grid.addEventListener("keydown", (event) => this.#key(event));
    grid.addEventListener("click", (event) => this.#click(event));
    grid.addEventListener("scroll", () => this.#nearEnd(), { passive: true });
    new ResizeObserver(() => {
      const size = this.#rowHeight();
      if (size !== this.virtual.size) this.virtual.resize(size);
    }).observe(grid);
  }

  /** Text of another size makes other rows. */
  #rowHeight() {
    const probe = h("div.job-row.probe", {}, "x");
    this.grid.append(probe);
    const size = Math.ceil(probe.getBoundingClientRect().height) || 36;
    probe.remove();
    return size;
  }

  /** All that is known; `hasMore`: and there are others. */
  set(jobs, hasMore) {
    const where = this.jobs[this.active]?.id;
    this.jobs = jobs;
    this.hasMore = hasMore;
    const at = jobs.findIndex((job) => job.id === where);
    this.active = at < 0 ? 0 : at;
    const there = new Set(jobs.map((job) => job.id));
    const left = [...this.selected].filter((id) => there.has(id));
    if (left.length !== this.selected.size) { this.selected = new Set(left); this.onSelect(); }
    this.grid.setAttribute("aria-rowcount", String(hasMore ? -1 : jobs.length + 1));
    this.virtual.set(jobs.length);
    this.#mark();
  }

  /** More at the end. */
  append(jobs, hasMore) {
    const known = new Set(this.jobs.map((job) => job.id));
    this.jobs = this.jobs.concat(jobs.filter((job) => !known.has(job.id)));
    this.hasMore = hasMore;
    this.grid.setAttribute("aria-rowcount", String(hasMore ? -1 : this.jobs.length + 1));
    this.virtual.set(this.jobs.length, false);
    this.#nearEnd();
  }

  /** What has become of jobs that are shown: in place. */
  change(jobs) {
    const news = new Map(jobs.map((job) => [job.id, job]));
    this.jobs = this.jobs.map((job) => news.get(job.id) ?? job);
    for (const [index, element] of this.virtual.shown) {
      if (news.has(this.jobs[index]?.id)) this.#fill(element, index);
    }
  }

  /** Those in sight that may still change. */
  get movingInSight() {
    return [...this.virtual.shown.keys()].map((index) => this.jobs[index]).filter((job) => job && !isFinal(job));
  }

  unselect() { this.#select(() => this.selected.clear()); }

  #row(index) {
    const made = h("div.job-row", { role: "row", id: `row-${index}`, "data-index": String(index), "aria-rowindex": String(index + 2) });
    this.#fill(made, index);
    return made;
  }

  #fill(element, index) {
    const job = this.jobs[index];
    const isSelected = this.selected.has(job.id);
    element.setAttribute("aria-selected", String(isSelected));
    element.classList.toggle("active", index === this.active);
    const pages = job.pages === null || (job.state === "failed" && !job.pages) ? "–" : isFinal(job) ? number(job.pages) : t("operate.of", { n: job.pages_done, all: job.pages });
    const took = job.started_at ? duration(Math.max(0, ((job.finished_at ? new Date(job.finished_at) : Date.now()) - new Date(job.started_at)) / 1000)) : "–";
    const error = job.error && job.state === "failed" ? h("code.error-code", {}, job.error.code) : null;
    const name = job.name ?? job.image;
    element.replaceChildren(
      h("span.tick", { role: "gridcell" }, h("span.box", { "aria-hidden": "true" })),
      h("span.cell-state", { role: "gridcell" }, stateElement(job.state)),
      h("span.cell-job", { role: "gridcell" },
        h("a.mono", { href: `/operate/jobs/${encodeURIComponent(job.id)}`, tabindex: "-1" }, job.id),
        error, h("span.dim", { title: short(name, 200) }, outside(name, 80))),
      h("span.cell-engine", { role: "gridcell" }, job.engine),
      h("span.cell-tenant", { role: "gridcell" }, outside(job.tenant, 40)),
      h("span.cell-tag", { role: "gridcell" }, outside(job.tag ?? "", 40)),
      h("span.number.cell-pages", { role: "gridcell" }, pages),
      h("span.number.cell-took", { role: "gridcell" }, took),
      h("span.number.cell-time", { role: "gridcell", title: short(job.queued_at) }, ago(job.queued_at)));
  }

  #mark() {
    for (const [index, element] of this.virtual.shown) {
      const job = this.jobs[index];
      element.classList.toggle("active", index === this.active);
      element.setAttribute("aria-selected", String(Boolean(job) && this.selected.has(job.id)));
    }
    if (this.jobs.length) this.grid.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  #select(change) {
    change();
    this.#mark();
    this.onSelect();
  }

  #go(index) {
    this.active = Math.min(Math.max(0, index), Math.max(0, this.jobs.length - 1));
    this.virtual.reveal(this.active);
    this.#mark();
    this.#nearEnd();
  }

  #range(from, to) {
    for (let index = Math.min(from, to); index <= Math.max(from, to); index += 1) this.selected.add(this.jobs[index].id);
  }

  #toggle(index) {
    const { id } = this.jobs[index];
    if (!this.selected.delete(id)) this.selected.add(id);
    this.anchor = index;
  }

  #key(event) {
    if (!this.jobs.length || event.altKey) return;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / this.virtual.size) - 1);
    const steps = {
      ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page,
      Home: 0, End: this.jobs.length - 1,
    };
    if (event.key in steps) {
      event.preventDefault();
      this.#go(steps[event.key]);
      if (event.shiftKey) this.#select(() => this.#range(this.anchor, this.active));
      else this.anchor = this.active;
    } else if (event.key === " ") {
      event.preventDefault();
      this.#select(() => this.#toggle(this.active));
    } else if (event.key === "Enter") {
      event.preventDefault();
      location.assign(`/operate/jobs/${encodeURIComponent(this.jobs[this.active].id)}`);
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.#select(() => { for (const job of this.jobs) this.selected.add(job.id); });
    } else if (event.key === "Escape" && this.selected.size) {
      event.preventDefault();
      this.unselect();
    }
  }

  #click(event) {
    const row = event.target.closest("[data-index]");
    if (!row || event.target.closest("a")) return;
    const index = Number(row.dataset.index);
    const from = this.anchor;
    this.active = index;
    this.#select(() => {
      if (event.shiftKey) this.#range(from, index);
      else this.#toggle(index);
    });
  }

  #nearEnd() {
    const last = Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / this.virtual.size);
    if (this.hasMore && Math.max(last, this.active) + NEAR_END >= this.jobs.length) this.onEnd();
  }
}
