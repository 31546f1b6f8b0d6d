// The word that is pointed at, or else the one that was gone to: its picture, text, confidence, and who has read it.

import { find, h, short } from "./elements.js";
import { BANDS, bandOf } from "./picture.js";
import { percent, t } from "./texts.js";

const CROP_HEIGHT = 44;
const CROP_WIDTH = 260;

export class WordCard {
  constructor(state, picture) {
    Object.assign(this, { state, picture, crop: find("word-crop"), facts: find("word-facts"), text: find("word-text"), shown: null });
    this.images = new Map();
    // it grows with what a word has to tell, and stays as high: the picture above would jump under the pointer
    const card = this.text.closest(".word-card");
    new ResizeObserver(() => { if (card.offsetHeight > parseFloat(card.style.minHeight || 0)) card.style.minHeight = `${card.offsetHeight}px`; }).observe(card);
    state.on("word hover page", () => this.#later());
    // whose crops could not be cut before
    state.on("picture", () => { this.shown = null; this.#later(); });
  }

  #later() {
    this.pending ??= requestAnimationFrame(() => { this.pending = null; this.#show(); });
  }

  #show() {
    const { page, hover, word } = this.state;
    const index = hover >= 0 ? hover : word;
    const key = page && index >= 0 && index < page.count ? `${page.number} ${index}` : null;
    if (key === this.shown) return;
    this.shown = key;
    if (!key) {
      this.text.textContent = "";
      this.facts.textContent = t("viewer.word.none");
      this.crop.hidden = true;
      return;
    }
    this.text.textContent = short(page.shown(index), 120);
    const confidence = page.confidence[index];
    const parts = [
      h(`span.band.${BANDS[bandOf(confidence)].name}`, {}, confidence < 0 ? t("viewer.word.no_confidence") : percent(confidence / 100)),
      h("span", {}, t("viewer.word.engine", { engine: short(page.engineOf(index), 40) })),
      h("span", {}, t("viewer.word.place", { word: index + 1, words: page.count })),
    ];
    for (const [engine, words] of Object.entries(page.others)) {
      if (index in words) {
        parts.push(h("span.other", {}, `${engine}: `, h("bdi", {}, words[index] === null ? t("viewer.compare.nothing") : short(words[index], 60))));
      }
    }
    this.facts.replaceChildren(...parts);
    this.#cut(index, key);
  }

  /** The word's picture, cut out of the page's tiles. */
  async #cut(index, key) {
    const { picture, state } = this;
    const { page } = state;
    const about = picture.about;
    this.crop.hidden = !about;
    if (!about) return;
    const [left, top, right, bottom] = page.box(index);
    const ratio = about.width / page.width;
    const margin = Math.max(2, (bottom - top) * 0.18);
    const area = { x: (left - margin) * ratio, y: (top - margin) * ratio, width: (right - left + 2 * margin) * ratio, height: (bottom - top + 2 * margin) * ratio };
    const device = Math.min(window.devicePixelRatio || 1, 2);
    const fits = Math.min(CROP_HEIGHT / area.height, CROP_WIDTH / area.width);
    let level = about.levels - 1;
    while (level > 0 && fits * device * 2 ** (about.levels - 1 - level) < 0.6) level -= 1;
    const shrink = 2 ** (about.levels - 1 - level);
    const size = about.tile;
    const [x, y, width, height] = [area.x / shrink, area.y / shrink, area.width / shrink, area.height / shrink];
    const wanted = [];
    for (let row = Math.max(0, Math.floor(y / size)); row <= Math.floor((y + height) / size); row += 1) {
      for (let column = Math.max(0, Math.floor(x / size)); column <= Math.floor((x + width) / size); column += 1) {
        if (column * size * shrink < about.width && row * size * shrink < about.height) wanted.push([column, row]);
      }
    }
    const base = `/reader/jobs/${state.id}/pages/${page.number}/tiles/${level}`;
    let tiles;
    try {
      tiles = await Promise.all(wanted.slice(0, 16).map(([column, row]) => this.#image(`${base}/${column}/${row}?size=${page.width}x${page.height}`)));
    } catch {
      this.crop.hidden = true;
      return;
    }
    if (key !== this.shown) return;
    const shownWidth = Math.max(1, Math.round(area.width * fits));
    const shownHeight = Math.max(1, Math.round(area.height * fits));
    this.crop.width = shownWidth * device;
    this.crop.height = shownHeight * device;
    this.crop.style.width = `${shownWidth}px`;
    this.crop.style.height = `${shownHeight}px`;
    const context = this.crop.getContext("2d");
    const scale = fits * shrink * device;
    context.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
    wanted.slice(0, 16).forEach(([column, row], at) => context.drawImage(tiles[at], column * size, row * size));
  }

  #image(address) {
    let made = this.images.get(address);
    if (!made) {
      made = new Promise((resolve, reject) => {
        const image = new Image();
        image.onload = () => resolve(image);
        image.onerror = reject;
        image.src = address;
      });
      if (this.images.size > 24) this.images.delete(this.images.keys().next().value);
      this.images.set(address, made);
    }
    return made;
  }
}
