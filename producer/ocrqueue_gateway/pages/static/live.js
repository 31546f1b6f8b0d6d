// What changes by itself: server-sent events and repeated questions, which one button stops and lets go on.

import { t } from "./texts.js";
import { h } from "./elements.js";

let paused = false;
const listeners = new Set();

export const isPaused = () => paused;

function setPaused(now) {
  paused = now;
  for (const each of listeners) each(now);
}

/** The button. A page has one at most. */
export function liveButton() {
  const dot = h("span.dot", { "aria-hidden": "true" });
  const label = h("span");
  const made = h("button.live", { type: "button", click: () => setPaused(!paused) }, dot, label);
  const show = () => {
    label.textContent = t(paused ? "frame.live.paused" : "frame.live");
    made.title = t(paused ? "frame.live.resume" : "frame.live.pause");
    made.setAttribute("aria-pressed", String(paused));
    made.classList.toggle("paused", paused);
  };
  listeners.add(show);
  show();
  return made;
}

/**
 * Server-sent events at `path`: `handlers` by name, with the parsed data. While paused there is no connection; after
 * that it begins anew with the state of then. Returns what ends it.
 */
export function events(path, handlers) {
  let source = null;
  const open = () => {
    source = new EventSource(path);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        // the browser's own `error` has no data: it connects again by itself
        if (event.data !== undefined) handle(JSON.parse(event.data));
      });
    }
  };
  const close = () => { source?.close(); source = null; };
  const follow = (now) => (now ? close() : open());
  listeners.add(follow);
  if (!paused) open();
  return () => { listeners.delete(follow); close(); };
}

/** Does `action` (it may be async) now and `seconds` after each time that it is done, while the page is seen and not
 * paused. Returns what ends it. */
export function repeat(seconds, action) {
  let timer = null;
  let ended = false;
  let busy = false;
  const go = async () => {
    clearTimeout(timer);
    if (ended || busy || paused || document.hidden) return;
    busy = true;
    try {
      await action();
    } finally {
      busy = false;
      if (!ended) timer = setTimeout(go, seconds * 1000);
    }
  };
  listeners.add(go);
  document.addEventListener("visibilitychange", go);
  go();
  return () => {
    ended = true;
    clearTimeout(timer);
    listeners.delete(go);
    document.removeEventListener("visibilitychange", go);
  };
}
