// What changes by itself: server-sent events and repeated questions, which one button stops and lets go on.

import { ask, Problem, signIn } from "./api.js";
import { h } from "./elements.js";
import { problem } from "./notices.js";
import { t } from "./texts.js";

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

const LONGEST_WAIT_S = 30;

/** Whether the same may go well later. What comes without a code is of a proxy, or of no network. */
const passes = (error) => Boolean(error.retryable) || !error.code || error.status >= 500;

/**
 * Server-sent events at `path`: `handlers` by name, with the parsed data. While paused, or while nobody sees the page,
 * there is no connection: a browser has six for all pages of a gateway. After that it begins anew with the state of
 * then. What goes wrong is told once, and asked for again if it may pass: the browser itself does so after a cut
 * connection, but not where the answer was an error. Returns what ends it.
 */
export function events(path, handlers) {
  let source = null;
  let timer = null;
  let failures = 0;
  let told = null;
  let ended = false;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const well = () => {
    told?.remove();
    told = null;
    failures = 0;
  };
  const fail = (error) => {
    close();
    if (ended) return;
    if (error.status === 401) { signIn(); return; }
    told ??= problem(error);
    failures += 1;
    if (passes(error)) timer = setTimeout(look, Math.min(2 ** failures, LONGEST_WAIT_S) * 1000);
  };
  /** Why there was no stream; an EventSource does not say. */
  const look = async () => {
    const asking = new AbortController();
    try {
      await ask(path, { signal: asking.signal });
      open();
    } catch (error) {
      fail(error);
    } finally {
      asking.abort();
    }
  };
  const open = () => {
    close();
    if (ended || paused || document.hidden) return;
    const mine = new EventSource(path);
    source = mine;
    for (const [name, handle] of Object.entries(handlers)) {
      mine.addEventListener(name, (event) => { well(); handle(JSON.parse(event.data)); });
    }
    mine.addEventListener("error", (event) => {
      if (mine !== source) return;
      if (event.data !== undefined) fail(new Problem(JSON.parse(event.data)));
      else if (mine.readyState === EventSource.CLOSED) look();
      // each stream ends at some time; twice in a row, and nobody answers
      else if (++failures > 1) told ??= problem(new Problem({ detail: t("frame.offline") }));
    });
  };
  listeners.add(open);
  document.addEventListener("visibilitychange", open);
  open();
  return () => {
    ended = true;
    well();
    close();
    listeners.delete(open);
    document.removeEventListener("visibilitychange", open);
  };
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
