// A long list of rows of one height, of which only those in sight are elements. Arrow keys move from row to row.

const BEYOND = 6;

export class VirtualList {
  /**
   * `element`: what scrolls. `size`: pixels of a row along the way. `row(index)` makes the element of a row, and
   * `horizontal` lets the list run to the side. `above()`: pixels of what stays above the rows in sight.
   */
  constructor(element, { size, row, horizontal = false, above = () => 0 }) {
    Object.assign(this, { element, size, row, horizontal, above, count: 0, shown: new Map() });
    this.sheet = document.createElement("div");
    this.sheet.className = "virtual-sheet";
    element.append(this.sheet);
    element.addEventListener("scroll", () => this.#later(), { passive: true });
    new ResizeObserver(() => this.#later()).observe(element);
  }

  /** So many rows there are now. `anew`: those in sight have changed. */
  set(count, anew = true) {
    this.count = count;
    this.sheet.style[this.horizontal ? "width" : "height"] = `${count * this.size}px`;
    if (anew) this.#clear();
    this.#show();
  }

  /** Another size of a row. */
  resize(size) {
    this.size = size;
    this.set(this.count);
  }

  /** Bring a row into sight. */
  reveal(index) {
    const room = this.#room();
    const at = index * this.size;
    const now = this.#at();
    if (at < now || at + this.size > now + room) {
      this.element.scrollTo({ [this.horizontal ? "left" : "top"]: Math.max(0, at - (room - this.size) / 2) });
    }
    this.#show();
  }

  elementOf(index) { return this.shown.get(index); }

  #at() { return this.horizontal ? this.element.scrollLeft : this.element.scrollTop; }
  #room() { return (this.horizontal ? this.element.clientWidth : this.element.clientHeight) - this.above(); }

  #later() {
    this.pending ??= requestAnimationFrame(() => { this.pending = null; this.#show(); });
  }

  #clear() {
    for (const each of this.shown.values()) each.remove();
    this.shown.clear();
  }

  #show() {
    const first = Math.max(0, Math.floor(this.#at() / this.size) - BEYOND);
    const last = Math.min(this.count - 1, Math.ceil((this.#at() + this.#room()) / this.size) + BEYOND);
    for (const [index, each] of this.shown) {
      if (index < first || index > last) { each.remove(); this.shown.delete(index); }
    }
    for (let index = first; index <= last; index += 1) {
      if (this.shown.has(index)) continue;
      const made = this.row(index);
      made.style[this.horizontal ? "left" : "top"] = `${index * this.size}px`;
      this.shown.set(index, made);
      // in the order of the list, for those who go from element to element
      const after = this.shown.get(index + 1);
      if (after) this.sheet.insertBefore(made, after);
      else this.sheet.append(made);
    }
  }
}
