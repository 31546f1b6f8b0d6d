// The page's picture with its words marked: OpenSeadragon shows tiles, a canvas above them the boxes.

/* global OpenSeadragon */
import { json } from "./api.js";
import { t } from "./texts.js";

const SCREEN_LEAST_PX = 5;
export const BANDS = [
  { name: "none", from: -1, light: "107 114 128", dark: "156 163 175" },
  { name: "low", from: 0, light: "196 43 28", dark: "255 120 105" },
  { name: "doubtful", from: 50, light: "202 108 0", dark: "255 176 76" },
  { name: "fair", from: 80, light: "120 122 0", dark: "206 204 70" },
  { name: "sure", from: 90, light: "20 122 62", dark: "86 200 130" },
];
export const bandOf = (confidence) => (confidence < 0 ? 0 : confidence < 50 ? 1 : confidence < 80 ? 2 : confidence < 90 ? 3 : 4);

export class Picture {
  constructor(element, state, blank) {
    // the viewer would add a style of its own, which the policy forbids; where it finds one it does not
    const found = document.createElementNS("urn:ocrqueue:none", "style");
    found.setAttribute("data-openseadragon-mobile-css", "true");
    document.head.append(found);
    Object.assign(this, { element, state, blank, boxes: true, about: null, shownNumber: null });
    this.viewer = new OpenSeadragon.Viewer({
      element,
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: false,
      animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.35,
      springStiffness: 9,
      maxZoomPixelRatio: 6,
      minZoomImageRatio: 0.8,
      visibilityRatio: 1,
      imageLoaderLimit: 6,
      // a key may have a rate, of which each tile takes a part
      tileRetryMax: 4,
      tileRetryDelay: 1500,
      maxImageCacheCount: 160,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, pinchRotate: false },
      gestureSettingsPen: { clickToZoom: false },
      crossOriginPolicy: false,
      ajaxWithCredentials: false,
      tabIndex: 0,
    });
    this.viewer.canvas.setAttribute("role", "application");
    this.viewer.canvas.setAttribute("aria-label", t("viewer.picture.label"));
    this.canvas = document.createElement("canvas");
    this.canvas.className = "boxes";
    this.canvas.setAttribute("aria-hidden", "true");
    this.viewer.canvas.append(this.canvas);
    this.context = this.canvas.getContext("2d");
    this.#listen();
  }

  #listen() {
    const { viewer, state } = this;
    for (const name of ["update-viewport", "resize", "open"]) viewer.addHandler(name, () => this.draw());
    // the keys are those of the whole page
    viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; });
    viewer.addHandler("canvas-click", (event) => {
      if (!event.quick || !state.page) return;
      const index = this.#wordAt(event.position);
      if (index < 0) { state.select(-1, -1, "picture"); return; }
      if (event.originalEvent.shiftKey && state.word >= 0) state.select(state.word, index, "picture");
      else state.goTo(index);
    });
    viewer.addHandler("canvas-drag", (event) => {
      if (!event.originalEvent.shiftKey) return;
      event.preventDefaultAction = true;
      this.drag ??= event.position.minus(event.delta);
      this.#selectBetween(this.drag, event.position);
    });
    viewer.addHandler("canvas-drag-end", () => { this.drag = null; });
    viewer.canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch" || !state.page || event.buttons) return;
      const area = viewer.canvas.getBoundingClientRect();
      state.point(this.#wordAt(new OpenSeadragon.Point(event.clientX - area.left, event.clientY - area.top)));
    });
    viewer.canvas.addEventListener("pointerleave", () => state.point(-1));
    state.on("page", () => this.#load());
    state.on("word", () => { this.reveal(state.word); this.draw(); });
    state.on("hover selection found threshold compare", () => this.draw());
    document.addEventListener("themechange", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** What is seen of the picture: none, and why; or nothing. */
  onProblem = () => {};

  async #load() {
    const { state } = this;
    const size = state.page ? `${state.page.width}x${state.page.height}` : null;
    const key = `${state.number} ${size}`;
    if (key === this.shownNumber) { this.draw(); return; }
    this.shownNumber = key;
    // a page that is not read yet has no size, and is shown once it is
    if (!state.page || state.page.width === 0) { this.viewer.close(); this.about = null; this.draw(); return; }
    let about = { problem: null };
    try {
      about = await json(`/reader/jobs/${state.id}/pages/${state.number}/picture?size=${size}`);
    } catch (error) {
      about = { problem: { message: error.detail, remedy: error.remedy } };
    }
    if (key !== this.shownNumber) return;
    this.onProblem(about.problem ?? null);
    this.about = about.problem ? null : about;
    state.tell("picture");
    const { width, height, id, number } = { ...state.page, id: state.id, number: state.number };
    const base = `/reader/jobs/${id}/pages/${number}/tiles`;
    const source = about.problem
      ? { width, height, tileSize: Math.max(width, height), minLevel: 0, maxLevel: 0, getTileUrl: () => this.blank, getLevelScale: () => 1 }
      : {
        width: about.width, height: about.height, tileSize: about.tile, minLevel: 0, maxLevel: about.levels - 1,
        getTileUrl: (level, x, y) => `${base}/${level}/${x}/${y}?size=${size}`,
      };
    this.viewer.open(source);
    this.viewer.addOnceHandler("open", () => { if (state.word >= 0) this.reveal(state.word, true); });
  }

  zoom(factor) { if (this.viewer.isOpen()) { this.viewer.viewport.zoomBy(factor).applyConstraints(); } }
  fit() { if (this.viewer.isOpen()) this.viewer.viewport.goHome(); }
  fitWidth() {
    if (!this.viewer.isOpen()) return;
    const { viewport } = this.viewer;
    const area = viewport.getContainerSize();
    viewport.fitBounds(new OpenSeadragon.Rect(0, 0, 1, area.y / area.x));
  }
  pan(x, y) {
    if (!this.viewer.isOpen()) return;
    const { viewport } = this.viewer;
    const step = viewport.getBounds().width / 5;
    viewport.panBy(new OpenSeadragon.Point(x * step, y * step)).applyConstraints();
  }
  turn() { if (this.viewer.isOpen()) this.viewer.viewport.setRotation(this.viewer.viewport.getRotation() + 90); }

  /** Bring a word into sight, so large that it can be read; the picture moves only if it has to. */
  reveal(index, atOnce = false) {
    const { viewer, state } = this;
    if (!viewer.isOpen() || index < 0 || !state.page) return;
    const [left, top, right, bottom] = state.page.box(index);
    const first = this.#toViewport(left, top);
    const last = this.#toViewport(right, bottom);
    const { viewport } = viewer;
    const seen = viewport.getBounds();
    const area = viewport.getContainerSize();
    const heightPx = (last.y - first.y) / seen.width * area.x;
    const edge = seen.width * 0.04;
    const inside = first.x >= seen.x + edge && last.x <= seen.x + seen.width - edge && first.y >= seen.y + edge
      && last.y <= seen.y + seen.height - edge;
    const legible = heightPx >= 9;
    if (inside && legible) return;
    if (!legible) viewport.zoomTo(Math.min(viewport.getZoom(true) * (16 / Math.max(heightPx, 0.05)), viewport.getMaxZoom()), null, atOnce);
    viewport.panTo(new OpenSeadragon.Point((first.x + last.x) / 2, (first.y + last.y) / 2), atOnce);
    viewport.applyConstraints(atOnce);
  }

  #ratio() {
    const { page } = this.state;
    const size = this.about ?? page;
    return size.height / size.width;
  }
  #toViewport(x, y) {
    const { page } = this.state;
    return new OpenSeadragon.Point(x / page.width, y / page.height * this.#ratio());
  }
  #toPage(position) {
    const { page } = this.state;
    const at = this.viewer.viewport.pointFromPixel(position, true);
    return { x: at.x * page.width, y: at.y / this.#ratio() * page.height };
  }
  #wordAt(position) {
    if (!this.viewer.isOpen()) return -1;
    const at = this.#toPage(position);
    const beside = this.#toPage(position.plus(new OpenSeadragon.Point(3, 0)));
    return this.state.page.at(at.x, at.y, Math.hypot(beside.x - at.x, beside.y - at.y));
  }

  #selectBetween(one, other) {
    const { page } = this.state;
    if (!page || !this.viewer.isOpen()) return;
    const a = this.#toPage(one);
    const b = this.#toPage(other);
    const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)];
    const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)];
    let first = -1;
    let last = -1;
    for (let index = 0; index < page.count; index += 1) {
      const box = page.box(index);
      if (box[0] < right && box[2] > left && box[1] < bottom && box[3] > top) {
        if (first < 0) first = index;
        last = index;
      }
    }
    this.state.select(first, last, "picture");
  }

  setBoxes(on) {
    this.boxes = on;
    this.draw();
  }

  draw() { this.pending ??= requestAnimationFrame(() => { this.pending = null; this.#draw(); }); }

  #draw() {
    const { canvas, context, viewer, state } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(this.element.clientWidth * ratio);
    const height = Math.round(this.element.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const { page } = state;
    if (!page || !viewer.isOpen() || !page.count) return;
    // page -> screen, turned or not
    const zero = viewer.viewport.pixelFromPoint(this.#toViewport(0, 0), true);
    const along = viewer.viewport.pixelFromPoint(this.#toViewport(page.width, 0), true);
    const down = viewer.viewport.pixelFromPoint(this.#toViewport(0, page.height), true);
    const place = [
      (along.x - zero.x) / page.width, (along.y - zero.y) / page.width,
      (down.x - zero.x) / page.height, (down.y - zero.y) / page.height, zero.x, zero.y,
    ].map((value) => value * ratio);
    context.setTransform(...place);
    const scale = Math.hypot(place[0], place[1]);
    const seen = this.#seen(zero, along, down, width / ratio, height / ratio);
    const dark = matchDark();
    if (this.boxes) this.#drawBoxes(seen, scale, ratio, dark);
    this.#drawMarks(scale, ratio, dark);
  }

  /** The part of the page that is on the screen, in its pixels. */
  #seen(zero, along, down, width, height) {
    const { page } = this.state;
    const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([x, y]) => this.#toPage(new OpenSeadragon.Point(x, y)));
    return {
      left: Math.max(0, Math.min(...corners.map((each) => each.x))), right: Math.min(page.width, Math.max(...corners.map((each) => each.x))),
      top: Math.max(0, Math.min(...corners.map((each) => each.y))), bottom: Math.min(page.height, Math.max(...corners.map((each) => each.y))),
    };
  }

  #drawBoxes(seen, scale, ratio, dark) {
    const { context, state } = this;
    const { page } = state;
    const { boxes, confidence } = page;
    const bands = BANDS.map(() => []);
    for (let index = 0, at = 0; index < page.count; index += 1, at += 4) {
      if (boxes[at] > seen.right || boxes[at + 2] < seen.left || boxes[at + 1] > seen.bottom || boxes[at + 3] < seen.top) continue;
      bands[bandOf(confidence[index])].push(at);
    }
    const outlined = bands.reduce((sum, each) => sum + each.length, 0) < 6000;
    bands.forEach((places, band) => {
      // on the page itself, which is light in both themes
      const colour = dark && !this.about ? BANDS[band].dark : BANDS[band].light;
      const doubtful = BANDS[band].from < 80 && band > 0;
      context.fillStyle = `rgb(${colour} / ${doubtful ? 30 : 13}%)`;
      for (const at of places) context.fillRect(boxes[at], boxes[at + 1], boxes[at + 2] - boxes[at], boxes[at + 3] - boxes[at + 1]);
      if (!outlined) return;
      context.lineWidth = (doubtful ? 1.75 : 1) * ratio / scale;
      context.strokeStyle = `rgb(${colour} / ${doubtful ? 95 : 60}%)`;
      context.beginPath();
      for (const at of places) {
        if ((boxes[at + 3] - boxes[at + 1]) * scale < SCREEN_LEAST_PX) continue;
        context.rect(boxes[at], boxes[at + 1], boxes[at + 2] - boxes[at], boxes[at + 3] - boxes[at + 1]);
      }
      context.stroke();
    });
  }

  #drawMarks(scale, ratio) {
    const { context, state } = this;
    const { page } = state;
    const px = ratio / scale;
    const fill = (index, colour) => {
      const [left, top, right, bottom] = page.box(index);
      context.fillStyle = colour;
      context.fillRect(left, top, right - left, bottom - top);
    };
    const outline = (index, colour, wide, gap) => {
      const [left, top, right, bottom] = page.box(index);
      context.strokeStyle = colour;
      context.lineWidth = wide * px;
      context.strokeRect(left - gap * px, top - gap * px, right - left + 2 * gap * px, bottom - top + 2 * gap * px);
    };
    if (state.compared) {
      context.setLineDash([5 * px, 3 * px]);
      for (const index of Object.keys(page.others[state.compared] ?? {})) outline(Number(index), "rgb(150 40 160)", 2, 2);
      context.setLineDash([]);
    }
    for (const hit of state.found) {
      if (hit.page !== page.number) continue;
      for (let index = hit.first; index <= hit.last; index += 1) fill(index, "rgb(255 214 0 / 45%)");
    }
    if (state.selection) {
      for (let index = state.selection.first; index <= state.selection.last; index += 1) fill(index, "rgb(40 110 230 / 35%)");
    }
    if (state.hover >= 0 && state.hover < page.count) outline(state.hover, "rgb(31 95 168)", 2, 1);
    if (state.word >= 0) {
      outline(state.word, "rgb(255 255 255 / 90%)", 5.5, 3);
      outline(state.word, "rgb(31 95 168)", 3, 3);
    }
  }
}

const matchDark = () => {
  const theme = document.documentElement.dataset.theme;
  return theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
};
