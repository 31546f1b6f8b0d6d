// What a job spent its time with: the steps of its last attempt as one bar, and each attempt along the clock.

import { h } from "../elements.js";
import { duration, t } from "../texts.js";

const STEPS = ["queue_wait", "fetch", "decode", "ocr", "crop", "upload"];
const LEAST = 0.5;
const LEAST_SHARE = 0.02;

/** One bar: waiting, and then each step of reading. `timings` as the API tells them, in seconds. */
export function stepsBar(timings) {
  const parts = STEPS.map((name) => ({ name, seconds: timings[`${name}_s`] ?? 0 }));
  const told = parts.slice(1).reduce((sum, part) => sum + part.seconds, 0);
  parts.push({ name: "rest", seconds: Math.max(0, (timings.total_s ?? 0) - told) });
  const shown = parts.filter((part) => part.seconds > 0);
  const all = shown.reduce((sum, part) => sum + part.seconds, 0);
  if (!all) return null;
  const bar = h("div.steps", { "aria-hidden": "true" });
  const legend = h("ul.legend");
  for (const { name, seconds } of shown) {
    const piece = h(`span.step.${name}`);
    piece.style.flexGrow = String(Math.max((seconds / all) * 100, LEAST));
    bar.append(piece);
    legend.append(h("li", {}, h(`span.sample.${name}`, { "aria-hidden": "true" }), `${t(`operate.step.${name}`)} ${duration(seconds)}`));
  }
  return h("div", {}, bar, legend);
}

/** Where an attempt lies between submission and end, as a bar in its row. */
export function attemptBar({ queued_at: queuedAt, finished_at: finishedAt }, attempt) {
  const begin = new Date(queuedAt).getTime();
  const end = finishedAt ? new Date(finishedAt).getTime() : Date.now();
  const all = Math.max(end - begin, 1);
  const from = attempt.started_at ? new Date(attempt.started_at).getTime() : begin;
  const to = attempt.ended_at ? new Date(attempt.ended_at).getTime() : end;
  const piece = h(`span.attempt-bar.${attempt.became.replaceAll(" ", "-")}`);
  // however short, it is seen
  const start = Math.min(Math.max((from - begin) / all, 0), 1 - LEAST_SHARE);
  piece.style.insetInlineStart = `${start * 100}%`;
  piece.style.width = `${Math.min(Math.max((to - from) / all, LEAST_SHARE), 1 - start) * 100}%`;
  return h("span.attempt-track", { "aria-hidden": "true" }, piece);
}
