// A long list of which one row is current, moved through by arrow keys: WAI-ARIA's pattern `listbox`, virtual.

import { VirtualList } from "./virtual_list.js";

let lists = 0;

export class OptionList {
  /**
   * `fill(element, index)` puts what a row shows into its element; `choose(index)` is told of the row that is gone to.
   */
  constructor(element, { size, fill, choose }) {
    Object.assign(this, { element, fill, choose, current: -1, name: `list${(lists += 1)}` });
    element.setAttribute("role", "listbox");
    element.tabIndex = 0;
    element.classList.add("virtual");
    this.list = new VirtualList(element, { size, row: (index) => this.#row(index) });
    this.list.sheet.setAttribute("role", "presentation");
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.#go(Number(row.dataset.index));
    });
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  set(count, current = -1) {
    this.current = current;
    this.list.set(count);
    this.#point();
  }

  /** The row to be shown as the current one, without telling of it. */
  show(index) {
    const before = this.list.elementOf(this.current);
    before?.setAttribute("aria-selected", "false");
    this.current = index;
    if (index >= 0 && this.element.clientHeight) this.list.reveal(index);
    this.list.elementOf(index)?.setAttribute("aria-selected", "true");
    this.#point();
  }

  refresh() { this.list.set(this.list.count); this.#point(); }

  #point() {
    if (this.current >= 0) this.element.setAttribute("aria-activedescendant", `${this.name}-${this.current}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #go(index) {
    this.show(index);
    this.choose(index);
  }

  #key(event) {
    const { count, size } = this.list;
    const page = Math.max(1, Math.floor(this.element.clientHeight / size) - 1);
    const to = {
      ArrowDown: this.current + 1, ArrowUp: this.current - 1, PageDown: this.current + page, PageUp: this.current - page,
      Home: 0, End: count - 1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey || !count) return;
    event.preventDefault();
    event.stopPropagation();
    this.#go(Math.max(0, Math.min(count - 1, to)));
  }

  #row(index) {
    const row = document.createElement("div");
    row.id = `${this.name}-${index}`;
    row.dataset.index = index;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === this.current));
    row.setAttribute("aria-setsize", String(this.list?.count ?? 0));
    row.setAttribute("aria-posinset", String(index + 1));
    row.style.height = `${this.list?.size ?? 0}px`;
    this.fill(row, index);
    return row;
  }
}
