// The overview: how much there is, what happened in the last hours, what waits where, and whose it is.

import { json } from "../api.js";
import { find, h, outside } from "../elements.js";
import { repeat } from "../live.js";
import { problem } from "../notices.js";
import { number, percent, t } from "../texts.js";
import { Chart } from "./charts.js";
import { followOverview, Rows, setText, tenantName } from "./common.js";
import { pauseButton, pauseItem } from "./pausing.js";
import { Queues } from "./queues.js";

const STEPS = { 60: 1, 180: 3, 720: 10, 1440: 20 };
const CHARTS_S = 20;

function tile({ key, at, bad }) {
  const value = h("dd");
  const element = h("div.tile", {}, h("dt", {}, at ? h("a", { href: at }, t(`operate.tile.${key}`)) : t(`operate.tile.${key}`)), value);
  return {
    element,
    update: ({ count }) => {
      setText(value, number(count));
      element.classList.toggle("zero", !count);
      element.classList.toggle("bad", Boolean(bad && count));
    },
  };
}

function tiles({ counts, queues, workers }) {
  const ofState = (state) => `/operate/jobs?state=${state}`;
  const shown = [
    { key: "waiting", count: queues.reduce((sum, lane) => sum + lane.waiting, 0), at: ofState("queued") },
    { key: "running", count: counts.running, at: ofState("running") },
    { key: "delayed", count: counts.delayed },
    { key: "succeeded", count: counts.succeeded, at: ofState("succeeded") },
    { key: "partial", count: counts.partial, at: ofState("partial") },
    { key: "failed", count: counts.failed, at: ofState("failed"), bad: true },
    { key: "cancelled", count: counts.cancelled, at: ofState("cancelled") },
    { key: "dead", count: counts.dead, at: "/operate/dead", bad: true },
    { key: "workers", count: workers.length, at: "/operate/workers" },
  ];
  if (counts.webhooks_failed) shown.push({ key: "webhooks", count: counts.webhooks_failed, bad: true });
  return shown;
}

const limitNames = ["rate", "waiting", "pages_a_month", "budget_a_month"];

function limitsText(limits) {
  const told = limitNames.filter((name) => limits[name] !== null)
    .map((name) => t(`operate.limit.${name}`, { value: typeof limits[name] === "number" ? number(limits[name]) : limits[name] }));
  return told.join(", ") || "–";
}

function tenantRow(tenant) {
  const waiting = h("td.number");
  const bar = h("span.share-bar");
  const share = h("span.number");
  const weight = h("td.number");
  const limits = h("td");
  const button = pauseButton("tenant", tenant.name);
  const element = h("tr", {}, h("th", { scope: "row" }, outside(tenantName(tenant.name), 64)), waiting,
    h("td", {}, h("span.share", {}, h("span.share-track", { "aria-hidden": "true" }, bar), share)), weight, limits, h("td.number", {}, button.element));
  return {
    element,
    update: (now) => {
      setText(waiting, number(Object.values(now.waiting).reduce((sum, each) => sum + each, 0)));
      setText(share, percent(now.share));
      bar.style.width = `${(now.share ?? 0) * 100}%`;
      setText(weight, number(now.weight));
      setText(limits, limitsText(now.limits));
      element.classList.toggle("paused", now.paused);
      button.update(now.paused);
    },
  };
}

/** What is to be done first, for as long as there is no worker or has been no job. */
function showFirst({ counts, queues, workers }) {
  const { running, delayed, succeeded, partial, failed, cancelled } = counts;
  const jobs = running + delayed + succeeded + partial + failed + cancelled + queues.reduce((sum, lane) => sum + lane.waiting, 0);
  find("first-worker").classList.toggle("done", workers.length > 0);
  find("first-job").classList.toggle("done", jobs > 0);
  find("first").hidden = workers.length > 0 && jobs > 0;
}

const jobsChart = new Chart(find("jobs-chart"), t("operate.charts.jobs"), [
  { name: "well", label: t("operate.charts.well") }, { name: "failed", label: t("operate.charts.failed") }]);
const pagesChart = new Chart(find("pages-chart"), t("operate.charts.pages"), [{ name: "pages", label: t("operate.charts.read") }]);

function sumUp(told, engine) {
  const count = periodsOf(told);
  const of = (what) => {
    const found = new Array(count).fill(0);
    for (const each of told.engines) {
      if (!engine || each.engine === engine) each[what].forEach((value, index) => { found[index] += value; });
    }
    return found;
  };
  const failed = of("failed");
  return { well: of("ended").map((ended, index) => ended - failed[index]), failed, pages: of("pages") };
}

function periodsOf(told) {
  const since = new Date(told.since).getTime();
  return told.engines[0]?.ended.length ?? Math.floor((Date.now() - since) / (told.period_s * 1000)) + 1;
}

async function showCharts() {
  const minutes = find("window").value;
  try {
    const told = await json(`/v1/counts?minutes=${minutes}&step=${STEPS[minutes]}`);
    const values = sumUp(told, find("engine").value);
    jobsChart.show({ ...told, values });
    pagesChart.show({ ...told, values });
  } catch (error) {
    problem(error);
  }
}

const tileRows = new Rows(find("tiles"), (each) => each.key, tile);
const tenantRows = new Rows(find("tenants"), (each) => each.name, tenantRow);
const pauseRows = new Rows(find("pauses"), (each) => `${each.kind} ${each.name} ${each.since}`, pauseItem);
const engineOptions = new Rows(find("engine"), (name) => name, (name) => ({
  element: h("option", { value: name }, name && outside(name, 40)), update: () => {},
}));
const queues = new Queues();

followOverview((told) => {
  showFirst(told);
  tileRows.set(tiles(told));
  queues.update(told);
  pauseRows.set(told.pauses);
  // by name, so that they do not change places as they wait for more or less
  tenantRows.set([...told.tenants].sort((one, other) => one.name.localeCompare(other.name)));
  find("tenants-table").hidden = !told.tenants.length;
  find("no-tenants").hidden = told.tenants.length > 0;
  const names = [...new Set(told.queues.map((lane) => lane.engine))];
  const all = find("engine").querySelector("option[value='']");
  engineOptions.known.set("", { element: all, update: () => {} });
  engineOptions.set(["", ...names]);
});
find("window").addEventListener("change", showCharts);
find("engine").addEventListener("change", showCharts);
repeat(CHARTS_S, showCharts);
