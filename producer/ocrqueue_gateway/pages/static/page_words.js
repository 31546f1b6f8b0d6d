// One page's words, as /reader/jobs/ID/pages/N tells them: in columns, so that 100,000 take little room.

import { plain } from "./elements.js";

const GROUP_LINES = 40;
const MOST_GROUPS = 4000;
const PARAGRAPH = 1;
const BREAKS = /[\t-\r\u0085\u2028\u2029]/g;

export class PageWords {
  constructor(told) {
    this.number = told.number;
    this.width = told.width;
    this.height = told.height;
    this.rotation = told.rotation;
    this.languages = told.languages;
    this.engine = told.engine;
    this.readings = told.readings;
    this.error = told.error;
    this.text = told.text;
    this.count = told.text.length;
    this.boxes = Int32Array.from(told.boxes);
    this.confidence = Int8Array.from(told.confidence);
    this.ids = told.ids;
    this.joined = new Set(told.joined);
    this.engines = told.engines;
    this.others = told.others;
    this.#lines(told.ends);
    this.#groups(told.ends);
  }

  id(index) {
    if (this.ids) return this.ids[index];
    return `p${String(this.number).padStart(3, "0")}-w${String(index + 1).padStart(4, "0")}`;
  }

  indexOf(id) {
    if (this.ids) return this.ids.indexOf(id);
    const found = /^p(\d+)-w(\d+)$/.exec(id);
    const index = found && Number(found[1]) === this.number ? Number(found[2]) - 1 : -1;
    return index < this.count ? index : -1;
  }

  /** left, top, right, bottom in the page's pixels. */
  box(index) { return this.boxes.subarray(4 * index, 4 * index + 4); }
  engineOf(index) { return this.engines[index] ?? this.engine; }
  /** Harmless, and of the same length. */
  shown(index) { return plain(this.text[index]).replace(BREAKS, " "); }
  lineOf(index) { return this.lines[index]; }
  firstOf(line) { return line === 0 ? 0 : this.lineEnds[line - 1]; }
  endOf(line) { return this.lineEnds[line]; }

  /** Words from first to last as text, harmless. */
  join(first, last) {
    const parts = [];
    for (let index = first; index <= last; index += 1) {
      parts.push(this.shown(index));
      if (index === last) break;
      if (this.lines[index] !== this.lines[index + 1]) parts.push("\n");
      else if (!this.joined.has(index)) parts.push(" ");
    }
    return parts.join("");
  }

  /** As it was read, for the clipboard. */
  raw(first, last) {
    const parts = [];
    for (let index = first; index <= last; index += 1) {
      parts.push(this.text[index]);
      if (index === last) break;
      if (this.lines[index] !== this.lines[index + 1]) parts.push(this.endsParagraph.has(this.lines[index]) ? "\n\n" : "\n");
      else if (!this.joined.has(index)) parts.push(" ");
    }
    return parts.join("");
  }

  isDoubtful(index, below) {
    const confidence = this.confidence[index];
    return confidence >= 0 && confidence < below;
  }

  /** Whether an engine has read the word otherwise. */
  differs(index, engine) { return engine in this.others && index in this.others[engine]; }

  /** The word there, the smallest if several are; -1: none. `slack`: pixels around a word that count too. */
  at(x, y, slack) {
    let found = -1;
    let least = Infinity;
    const { boxes } = this;
    for (let index = 0, at = 0; index < this.count; index += 1, at += 4) {
      if (x < boxes[at] - slack || x > boxes[at + 2] + slack || y < boxes[at + 1] - slack || y > boxes[at + 3] + slack) continue;
      const inside = x >= boxes[at] && x <= boxes[at + 2] && y >= boxes[at + 1] && y <= boxes[at + 3];
      const size = (boxes[at + 2] - boxes[at]) * (boxes[at + 3] - boxes[at + 1]) + (inside ? 0 : 1e9);
      if (size < least) { least = size; found = index; }
    }
    return found;
  }

  /** The word of the nearest line above (-1) or below (1) that stands closest; -1: there is none. */
  beside(index, step) {
    const [left, , right] = this.box(index);
    const middle = (left + right) / 2;
    const line = this.lines[index] + step;
    if (line < 0 || line >= this.lineEnds.length) return -1;
    let found = -1;
    let least = Infinity;
    for (let other = this.firstOf(line); other < this.endOf(line); other += 1) {
      const box = this.box(other);
      const away = Math.abs((box[0] + box[2]) / 2 - middle);
      if (away < least) { least = away; found = other; }
    }
    return found;
  }

  /** Groups of lines, each a text of its own: {text, first, end}; a word's place in it is `starts`. */
  #groups(ends) {
    this.groups = [];
    this.groupOf = new Uint32Array(this.count);
    this.starts = new Uint32Array(this.count);
    let parts = [];
    let length = 0;
    let first = 0;
    let lines = 0;
    for (let line = 0; line < this.lineEnds.length; line += 1) {
      for (let index = this.firstOf(line); index < this.endOf(line); index += 1) {
        this.groupOf[index] = this.groups.length;
        this.starts[index] = length;
        const last = index + 1 === this.endOf(line);
        const shown = this.shown(index) + (last ? "\n" : this.joined.has(index) ? "" : " ");
        parts.push(shown);
        length += shown.length;
      }
      lines += 1;
      const paragraph = ends[2 * line + 1] >= PARAGRAPH;
      if (lines >= GROUP_LINES || (paragraph && this.groups.length < MOST_GROUPS) || line + 1 === this.lineEnds.length) {
        this.groups.push({ text: parts.join("").trimEnd(), first, end: this.endOf(line), lines, paragraph });
        parts = [];
        length = 0;
        lines = 0;
        first = this.endOf(line);
      }
    }
  }

  #lines(ends) {
    this.lineEnds = new Uint32Array(ends.length / 2);
    this.lines = new Uint32Array(this.count);
    this.endsParagraph = new Set();
    let index = 0;
    for (let line = 0; line < this.lineEnds.length; line += 1) {
      this.lineEnds[line] = ends[2 * line];
      if (ends[2 * line + 1] >= PARAGRAPH) this.endsParagraph.add(line);
      for (; index < ends[2 * line]; index += 1) this.lines[index] = line;
    }
  }
}
