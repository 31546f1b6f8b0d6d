// The page's text beside its picture. It is text and nothing else: words are marked by the browser's highlights, without
// an element for each, so that it can be selected and searched as any text.

import { h } from "./elements.js";

const highlights = {};
const has = typeof Highlight === "function" && "highlights" in CSS;
for (const name of ["doubt", "differs", "found", "hover", "chosen", "word"]) {
  if (!has) break;
  highlights[name] = new Highlight();
  // those that come later lie above
  highlights[name].priority = Object.keys(highlights).length;
  CSS.highlights.set(`ocr-${name}`, highlights[name]);
}

export class TextPane {
  constructor(element, state) {
    Object.assign(this, { element, state, nodes: [], inSight: new Set() });
    this.watcher = new IntersectionObserver((entries) => this.#seen(entries), { root: element, rootMargin: "200px" });
    element.addEventListener("click", (event) => this.#click(event));
    document.addEventListener("selectionchange", () => this.#selected());
    state.on("page", () => this.#fill());
    state.on("word", () => { this.#mark("word", state.word, state.word); this.reveal(state.word); });
    state.on("hover", () => this.#mark("hover", state.hover, state.hover));
    state.on("selection", () => this.#select());
    state.on("threshold compare", () => this.#markGroups());
    state.on("found", () => this.#markFound());
  }

  #fill() {
    const { element, state } = this;
    if (state.page === this.page) return;
    this.watcher.disconnect();
    this.inSight.clear();
    for (const each of Object.values(highlights)) each.clear();
    this.page = state.page;
    this.nodes = [];
    const made = document.createDocumentFragment();
    for (const group of state.page?.groups ?? []) {
      const node = document.createTextNode(group.text);
      const part = h(group.paragraph ? "p" : "p.goes-on", { dir: "auto" }, node);
      part.style.containIntrinsicSize = `auto ${group.lines * 1.5}em`;
      part.dataset.group = this.nodes.length;
      this.nodes.push(node);
      made.append(part);
    }
    element.replaceChildren(made);
    element.scrollTop = 0;
    for (const each of element.children) this.watcher.observe(each);
    this.#markFound();
  }

  /** The place of words in the text; null: there is none. */
  range(first, last) {
    const { page } = this;
    if (!page || first < 0 || last >= page.count) return null;
    const range = document.createRange();
    const start = this.nodes[page.groupOf[first]];
    const end = this.nodes[page.groupOf[last]];
    if (!start || !end) return null;
    range.setStart(start, Math.min(page.starts[first], start.length));
    range.setEnd(end, Math.min(page.starts[last] + page.text[last].length, end.length));
    return range;
  }

  #mark(name, first, last) {
    if (!has) return;
    highlights[name].clear();
    const range = this.range(first, last);
    if (range) highlights[name].add(range);
  }

  #markFound() {
    if (!has) return;
    highlights.found.clear();
    for (const hit of this.state.found) {
      if (hit.page !== this.page?.number) continue;
      const range = this.range(hit.first, hit.last);
      if (range) highlights.found.add(range);
    }
  }

  #seen(entries) {
    for (const entry of entries) {
      const group = Number(entry.target.dataset.group);
      if (entry.isIntersecting) this.inSight.add(group);
      else this.inSight.delete(group);
    }
    this.#markGroups();
  }

  /** Doubtful words and differences, of the groups in sight. */
  #markGroups() {
    const { page, state } = this;
    if (!has || !page) return;
    highlights.doubt.clear();
    highlights.differs.clear();
    for (const group of this.inSight) {
      const { first, end } = page.groups[group] ?? { first: 0, end: 0 };
      for (let index = first; index < end; index += 1) {
        if (page.isDoubtful(index, state.below)) highlights.doubt.add(this.range(index, index));
        if (state.compared && page.differs(index, state.compared)) highlights.differs.add(this.range(index, index));
      }
    }
  }

  reveal(index) {
    const range = this.range(index, index);
    if (!range || !this.element.clientHeight) return;
    const group = this.element.children[this.page.groupOf[index]];
    const area = this.element.getBoundingClientRect();
    const place = () => {
      const at = range.getBoundingClientRect();
      if (at.height === 0) return false;
      if (at.top < area.top + 8 || at.bottom > area.bottom - 8) {
        this.element.scrollTop += (at.top + at.bottom) / 2 - (area.top + area.bottom) / 2;
      }
      return true;
    };
    if (place()) return;
    // what is out of sight is not laid out
    group.scrollIntoView({ block: "nearest" });
    requestAnimationFrame(place);
  }

  #click(event) {
    if (!getSelection().isCollapsed) return;
    const index = this.#wordAt(event.clientX, event.clientY);
    if (index >= 0) this.state.goTo(index);
  }

  #wordAt(x, y) {
    let node;
    let offset;
    if (document.caretPositionFromPoint) ({ offsetNode: node, offset } = document.caretPositionFromPoint(x, y) ?? {});
    else ({ startContainer: node, startOffset: offset } = document.caretRangeFromPoint(x, y) ?? {});
    return this.#wordIn(node, offset);
  }

  #wordIn(node, offset) {
    const group = this.nodes.indexOf(node);
    if (group < 0) return -1;
    const { page } = this;
    let { first, end } = page.groups[group];
    while (end - first > 1) {
      const middle = (first + end) >> 1;
      if (page.starts[middle] <= offset) first = middle;
      else end = middle;
    }
    return first;
  }

  #selected() {
    const selection = getSelection();
    if (!this.page || !selection.rangeCount) return;
    const range = selection.getRangeAt(0);
    if (!this.element.contains(range.commonAncestorContainer)) return;
    if (selection.isCollapsed) {
      if (this.state.selection?.by === "text") this.state.select(-1, -1, "text");
      return;
    }
    const first = this.#wordIn(this.#textOf(range.startContainer, range.startOffset), this.#offset(range.startContainer, range.startOffset));
    const last = this.#wordIn(this.#textOf(range.endContainer, range.endOffset), Math.max(0, this.#offset(range.endContainer, range.endOffset) - 1));
    const known = this.state.selection;
    // the echo of one that was made elsewhere, and shown here
    if (known && known.by !== "text" && known.first === first && known.last === last) return;
    if (first >= 0 && last >= first) this.state.select(first, last, "text");
  }

  /** A selection may begin or end between paragraphs. */
  #textOf(node, offset) {
    if (node.nodeType === Node.TEXT_NODE) return node;
    const child = node === this.element ? node.children[Math.min(offset, node.children.length - 1)] : node;
    return child?.firstChild ?? node;
  }
  #offset(node, offset) { return node.nodeType === Node.TEXT_NODE ? offset : 0; }

  #select() {
    const { selection } = this.state;
    this.#mark("chosen", selection?.first ?? -1, selection?.last ?? -1);
    if (!selection || selection.by === "text") return;
    const range = this.range(selection.first, selection.last);
    if (!range) return;
    // so that it can be copied as any other
    getSelection().setBaseAndExtent(range.startContainer, range.startOffset, range.endContainer, range.endOffset);
    this.reveal(selection.by === "keys" ? this.state.moving : selection.first);
  }
}
