// The page of jobs: which are asked for, the list, and what is done with the selected ones or with all.

import { json } from "../api.js";
import { find, h } from "../elements.js";
import { notice, problem } from "../notices.js";
import { t } from "../texts.js";
import { act, may } from "./actions.js";
import { followOverview, setText } from "./common.js";
import { JobList } from "./job_list.js";

const FIRST = 100;
const MORE = 500;
const MOST_IDS = 1000;
const LIVE_IDS = 100;
const FIELDS = ["tag", "tenant", "code"];
const JOB_ID = /[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const form = find("filter");
const buttons = [...document.querySelectorAll("[data-action]")];
let cursor = null;
let loading = false;
let round = 0;

/** What the form says, as the API takes it. */
function wanted() {
  const told = new FormData(form);
  const filter = {};
  const states = told.getAll("state");
  if (states.length) filter.state = states;
  for (const name of FIELDS) {
    const value = told.get(name).trim();
    if (value) filter[name] = value;
  }
  if (told.get("since")) filter.since = new Date(Date.now() - Number(told.get("since")) * 1000).toISOString();
  return filter;
}

/** The address of the page says it too, so that it can be handed on. */
function remember() {
  const told = new URLSearchParams([...new FormData(form)].filter(([, value]) => String(value).trim()));
  history.replaceState(null, "", told.size ? `?${told}` : location.pathname);
}

function recall() {
  const told = new URLSearchParams(location.search);
  for (const box of form.querySelectorAll("[name=state]")) box.checked = told.getAll("state").includes(box.value);
  for (const name of [...FIELDS, "since"]) form.elements[name].value = told.get(name) ?? "";
}

function query(filter, more) {
  const told = new URLSearchParams(more);
  for (const [name, value] of Object.entries(filter)) [value].flat().forEach((each) => told.append(name, each));
  return `/v1/jobs?${told}`;
}

const list = new JobList(find("list"), { onSelect: showTools, onEnd: loadMore });

function showTools() {
  const { size } = list.selected;
  const isFiltered = Object.keys(wanted()).length > 0;
  setText(find("about"), size ? t("operate.selected_count", { n: size }) : t(isFiltered ? "operate.all_that_match" : "operate.all_jobs"));
  find("unselect").hidden = !size;
  for (const button of buttons) button.disabled = !may(button.dataset.action) || (!size && !list.jobs.length) || size > MOST_IDS;
}

function showLoaded() {
  setText(find("loaded"), t(list.hasMore ? "operate.loaded_more" : "operate.loaded", { n: list.jobs.length }));
  const isEmpty = !list.jobs.length;
  find("none").hidden = !isEmpty;
  find("list").hidden = isEmpty;
  find("list-keys").hidden = isEmpty;
  if (isEmpty) {
    find("none").replaceChildren(Object.keys(wanted()).length ? t("operate.none_match") : h("span", {}, t("operate.none"), " ", h("a", { href: "/" }, t("operate.first.job.where"))));
  }
  showTools();
}

async function load() {
  round += 1;
  const mine = round;
  try {
    const told = await json(query(wanted(), { limit: FIRST }));
    if (mine !== round) return;
    cursor = told.next;
    find("list").hidden = false;
    list.set(told.jobs, cursor !== null);
    find("list").scrollTop = 0;
    find("newer").hidden = true;
    showLoaded();
  } catch (error) {
    if (mine === round) problem(error);
  }
}

async function loadMore() {
  if (loading || cursor === null) return;
  loading = true;
  const mine = round;
  try {
    const told = await json(query(wanted(), { limit: MORE, cursor }));
    if (mine !== round) return;
    cursor = told.next;
    loading = false;
    list.append(told.jobs, cursor !== null);
    showLoaded();
  } catch (error) {
    problem(error);
  } finally {
    loading = false;
  }
}

/** Rows change in place; jobs that are new are told of, and come once they are asked for, so that nothing jumps. */
async function refresh() {
  const mine = round;
  const moving = list.movingInSight.slice(0, LIVE_IDS);
  try {
    const [first, now] = await Promise.all([
      json(query(wanted(), { limit: FIRST })),
      moving.length ? json(`/v1/jobs?${new URLSearchParams(moving.map((job) => ["id", job.id]))}`) : { jobs: [] },
    ]);
    if (mine !== round) return;
    const known = new Set(list.jobs.map((job) => job.id));
    list.change([...first.jobs, ...now.jobs]);
    const fresh = first.jobs.filter((job) => !known.has(job.id)).length;
    if (!list.jobs.length && fresh) { await load(); return; }
    find("newer").hidden = !fresh;
    setText(find("newer"), t(fresh < FIRST ? "operate.newer" : "operate.newer.many", { n: fresh }));
  } catch (error) {
    if (mine === round && error.name !== "AbortError") problem(error);
  }
}

/** `text`: an id, or an address that ends with one. */
async function open(text) {
  const [id] = text.trim().replace(/[?#].*$/, "").replace(/\/+$/, "").match(JOB_ID) ?? [];
  try {
    const { jobs } = id ? await json(`/v1/jobs?${new URLSearchParams({ id })}`) : { jobs: [] };
    if (jobs.length) location.assign(`/operate/jobs/${encodeURIComponent(id)}`);
    else notice("problem", t("operate.find.none"));
  } catch (error) {
    problem(error);
  }
}

async function nameCodes() {
  try {
    const { by_code: byCode } = await json("/v1/dead?limit=1");
    find("codes").replaceChildren(...Object.keys(byCode).map((code) => h("option", { value: code })));
  } catch {
    // they are a help alone
  }
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    const ids = [...list.selected];
    act(button.dataset.action, ids.length ? { ids } : wanted(), load);
  });
}
let typing = null;
form.addEventListener("input", (event) => {
  if (event.target.id === "find") return;
  clearTimeout(typing);
  typing = setTimeout(() => { remember(); load(); }, event.target.type === "checkbox" ? 0 : 300);
});
form.addEventListener("reset", () => setTimeout(() => { remember(); load(); }));
form.addEventListener("submit", (event) => event.preventDefault());
find("find").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  open(event.target.value);
});
find("newer").addEventListener("click", async () => { await load(); find("list").focus(); });
find("unselect").addEventListener("click", () => { list.unselect(); find("list").focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, textarea, dialog")) {
    event.preventDefault();
    find("find").focus();
  }
});

recall();
await load();
nameCodes();
let waiting = null;
followOverview(() => {
  // one look at a time, however fast things change
  waiting ??= refresh().finally(() => { waiting = null; });
});
