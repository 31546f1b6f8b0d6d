// One job's history: what it is, what became of each attempt, where its time went, who was told, and what can be done.

import { ask, json, post } from "../api.js";
import { copyText } from "../clipboard.js";
import { find, h, outside, say } from "../elements.js";
import { events } from "../live.js";
import { notice, problem } from "../notices.js";
import { duration, language, number, percent, t, timeElement } from "../texts.js";
import { mayCancel, mayReplay, openDialog, stateElement, tenantName } from "./common.js";
import { isFinal } from "./job_list.js";
import { attemptBar, stepsBar } from "./timeline.js";

const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const NUMBERS = new Set(["attempt", "page_number", "took", "tries"]);
const root = find("job");
const id = root.dataset.job;
const path = `/v1/jobs/${encodeURIComponent(id)}`;
let follow = null;
let asking = null;
let shown = "";

const fact = (name, ...content) => (content.some((each) => each !== null && each !== undefined && each !== "")
  ? h("div", {}, h("dt", {}, t(`operate.${name}`)), h("dd", {}, ...content)) : null);

const table = (names, rows) => h("div.scroll.card.flush", { tabindex: "0", role: "region", "aria-label": t(names.label) }, h("table", {},
  h("thead", {}, h("tr", {}, ...names.columns.map((name) => h(NUMBERS.has(name) ? "th.number" : "th", { scope: "col" }, t(`operate.${name}`))))), h("tbody", {}, ...rows)));

const errorBox = (error) => h("div.problem", {}, h("strong", {}, outside(error.message, 2000)), error.remedy ? h("p", {}, outside(error.remedy, 2000)) : null,
  h("code", {}, error.code));

const errorCell = (error) => (error ? h("details", {}, h("summary", {}, h("code", {}, error.code)), errorBox(error)) : "");

function actionsOf(job) {
  const done = async (action, text) => {
    try {
      await action();
      notice("done", text);
      await load();
    } catch (error) {
      problem(error);
    }
  };
  const buttons = [];
  if (isFinal(job)) {
    if (job.state === "failed") {
      buttons.push(h("button.main", { type: "button", disabled: !mayReplay, click: () => done(() => post(`${path}/replay`, {}), t("operate.job.replayed")) }, t("operate.replay")));
    }
  } else {
    buttons.push(h("button", { type: "button", disabled: !mayCancel || job.cancel_requested, click: () => done(() => ask(path, { method: "DELETE" }), t("operate.job.cancelled")) },
      t(job.cancel_requested ? "operate.cancel.asked" : "operate.cancel")));
  }
  buttons.push(h("button.bad", { type: "button", disabled: !mayCancel, click: remove }, t("operate.delete")));
  if (job.state === "succeeded" || job.state === "partial") buttons.unshift(h("a.button", { href: `/jobs/${encodeURIComponent(id)}` }, t("operate.job.read")));
  return buttons;
}

function remove() {
  const go = h("button.main.danger", { type: "button", click: async () => {
    go.disabled = true;
    // what has gone is not asked for again
    stopFollowing();
    try {
      const response = await ask(`${path}?purge=true`, { method: "DELETE" });
      if (response.status === 204) { location.assign("/operate/jobs"); return; }
      notice("done", t("operate.job.stopping"));
    } catch (error) {
      problem(error);
    }
    dialog.close();
    load();
  } }, t("operate.delete"));
  const dialog = openDialog(t("operate.job.delete"), h("p", {}, t("operate.job.delete.what")),
    h("div.dialog-actions", {}, h("button", { type: "button", click: () => dialog.close() }, t("operate.close")), go));
}

function facts({ job, queue, engines, engines_reason: reason, worker }) {
  const copy = h("button.small", { type: "button", click: async () => { await copyText(id); say(t("frame.copied")); } }, t("operate.copy"));
  const pages = job.pages === null ? null : isFinal(job) ? number(job.pages) : t("operate.of", { n: job.pages_done, all: job.pages });
  const place = job.place ? [t("operate.ahead", { n: job.place.ahead }), job.place.wait_s === null ? "" : ` · ${t("operate.about", { time: duration(job.place.wait_s) })}`] : [null];
  const time = (value) => (value ? h("span", {}, clock.format(new Date(value)), " ", h("span.dim", {}, timeElement(value))) : null);
  return h("dl.facts.card", {},
    fact("id", h("span.mono", {}, id), " ", copy),
    fact("image", outside(job.image, 500)),
    fact("tenant", outside(tenantName(job.tenant), 64)),
    fact("tag", job.tag === null ? null : outside(job.tag, 256)),
    fact("batch", job.batch === null ? null : outside(job.batch, 256)),
    fact("engine", engines.length > 1 ? `${engines.join(" → ")}` : job.engine, reason ? h("p.hint", {}, outside(reason, 500)) : null),
    fact("queue", queue),
    fact("place", ...place),
    fact("worker", worker === null ? null : outside(worker, 100)),
    fact("submitted", time(job.queued_at)), fact("started", time(job.started_at)), fact("ended", time(job.finished_at)),
    fact("pages", job.state === "failed" && !job.pages ? null : pages), fact("words", job.words === null || job.state === "failed" ? null : number(job.words)),
    fact("confidence", job.mean_confidence === null ? null : percent(job.mean_confidence)),
    fact("device", job.device), fact("cached", job.cached ? t("operate.cached.yes") : null));
}

function attemptRow(job, attempt) {
  const took = attempt.started_at && attempt.ended_at ? duration((new Date(attempt.ended_at) - new Date(attempt.started_at)) / 1000) : "";
  return h("tr", {}, h("td.number", {}, attempt.number === null ? "" : number(attempt.number)),
    h("td.number", {}, attempt.page === null ? "" : number(attempt.page)),
    h("td", {}, t(`operate.became.${attempt.became.replaceAll(" ", "_")}`)), h("td", {}, outside(attempt.engine ?? "", 60)), h("td", {}, outside(attempt.worker ?? "", 80)),
    h("td", {}, attempt.started_at ? timeElement(attempt.started_at) : ""), h("td.number", {}, took), h("td.times-cell", {}, attemptBar(job, attempt)), h("td", {}, errorCell(attempt.error)));
}

function stepItem(step) {
  const told = [t("operate.pages_count", { n: step.pages })];
  if (step.mean_confidence !== null) told.push(percent(step.mean_confidence));
  if (step.seconds) told.push(duration(step.seconds));
  if (step.pages_sent_on) told.push(t("operate.sent_on.pages", { n: step.pages_sent_on }));
  if (step.lines_sent_on) told.push(t("operate.sent_on.lines", { n: step.lines_sent_on }));
  return h("li", {}, h("strong", {}, step.engine), " ", h("span.dim", {}, [step.version, step.model].filter(Boolean).join(" ")), h("p", {}, told.join(" · ")), step.error ? h("code", {}, step.error) : null);
}

function deliveryRow(delivery) {
  const log = delivery.log.map((each) => h("li", {}, timeElement(each.at), " ", t(`operate.told.${each.became}`), each.status ? ` · HTTP ${each.status}` : "", each.error ? h("span", {}, " · ", outside(each.error, 200)) : null));
  return h("tr", {}, h("td", {}, outside(delivery.url, 200)), h("td", {}, t(`operate.delivery.${delivery.state}`)), h("td.number", {}, number(delivery.attempts)),
    h("td", {}, delivery.made_at ? timeElement(delivery.made_at) : ""), h("td", {}, log.length ? h("details", {}, h("summary", {}, t("operate.log")), h("ul", {}, ...log)) : ""));
}

const section = (title, ...content) => h("section", {}, h("h2", {}, t(title)), ...content);

function show(told) {
  const { job, attempts, ends, deliveries } = told;
  const steps = stepsBar(job.timings);
  root.replaceChildren(...[
    h("nav.crumbs", { "aria-label": t("operate.where") }, h("a", { href: "/operate/jobs" }, t("operate.jobs"))),
    h("div.heading.job-head", {}, h("h1", {}, outside(job.name ?? job.image, 80)), stateElement(job.state), h("span.room"), ...actionsOf(job)),
    job.state === "running" && job.pages ? h("progress", { max: String(job.pages), value: String(job.pages_done), "aria-label": t("operate.pages") }) : null,
    job.error ? errorBox(job.error) : null,
    facts(told),
    steps ? section("operate.times", steps) : null,
    attempts.length ? section("operate.attempts", table({ label: "operate.attempts", columns: ["attempt", "page_number", "became", "engine", "worker", "started", "took", "along", "error"] }, attempts.map((each) => attemptRow(job, each)))) : null,
    job.trail.length ? section("operate.trail", h("ol.trail", {}, ...job.trail.map(stepItem))) : null,
    ends.length ? section("operate.ends", h("ol.ends", {}, ...ends.map((end) => h("li", {}, stateElement(end.state), " ", h("span.dim", {}, t("operate.pages_count", { n: end.pages })), end.error ? errorBox(end.error) : null)))) : null,
    section("operate.deliveries", deliveries.length
      ? table({ label: "operate.deliveries", columns: ["url", "state", "tries", "made", "log"] }, deliveries.map(deliveryRow))
      : h("p.hint", {}, t("operate.deliveries.none"))),
  ].filter(Boolean));
}

/** What is open, or has focus, stays so where the page is shown anew. */
function keepingFocus(change) {
  const focusable = () => [...root.querySelectorAll("button, a, summary, [tabindex]")];
  const at = focusable().indexOf(document.activeElement);
  const open = [...root.querySelectorAll("details")].map((each) => each.open);
  change();
  [...root.querySelectorAll("details")].forEach((each, index) => { each.open = open[index] ?? false; });
  if (at >= 0) focusable()[at]?.focus();
}

/** Also what is asked for already: the answer may be that the job has gone. */
function stopFollowing() {
  follow?.();
  follow = null;
  asking?.abort();
}

async function load() {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  let told;
  try {
    told = await json(`${path}/history`, { signal: mine.signal });
  } catch (error) {
    if (!mine.signal.aborted) problem(error);
    return;
  }
  const text = JSON.stringify(told);
  if (text !== shown) { shown = text; keepingFocus(() => show(told)); }
  if (!isFinal(told.job) && !follow) {
    follow = events(`${path}/events`, { state: load, place: load, end: () => { stopFollowing(); load(); } });
  }
}

load();
