// Where files are dropped, and the latest jobs.

import { json, Problem } from "./api.js";
import { find, h, outside, say, short } from "./elements.js";
import { liveButton, repeat } from "./live.js";
import { problem } from "./notices.js";
import { number, percent, t, timeElement } from "./texts.js";
import { sendFile, sendReference } from "./upload.js";

const AT_A_TIME = 50;
const AT_ONCE = 3;
const TIMES_MS = 20_000;
const OPEN = new Set(["queued", "running"]);

// --- jobs --------------------------------------------------------------------------------------------------------

const uploads = new Map();
const jobs = new Map();
let next = null;
let olderShown = false;

function row(job) {
  const pages = h("td.pages-cell");
  if (job.state === "running" && job.pages) {
    pages.append(`${number(job.pages_done)} / ${number(job.pages)}`, h("progress", { max: job.pages, value: job.pages_done, "aria-label": t("viewer.progress") }));
  } else {
    pages.append(job.pages === null ? "" : number(job.pages));
  }
  return h("tr", { "data-id": job.id },
    h("td", {}, h("a.name", { href: `/jobs/${job.id}`, title: short(job.name ?? job.image, 300) }, outside(job.name ?? job.image, 120))),
    h("td", {}, h(`span.state.${job.state}`, job.error ? { title: `${job.error.code}: ${short(job.error.message, 200)}` } : {}, t(`state.${job.state}`))),
    pages,
    h("td.number.extra", {}, job.words === null ? "" : number(job.words)),
    h("td.number.extra", {}, job.mean_confidence === null ? "" : percent(job.mean_confidence)),
    h("td.extra", {}, job.engine),
    h("td", {}, timeElement(job.queued_at)));
}

function uploadRow(upload) {
  const bar = h("progress", { max: 1, value: upload.share, "aria-label": t("home.uploading") });
  return h("tr", {}, h("td", {}, h("span.name", {}, outside(upload.name, 120))), h("td", {}, h("span.state.queued", {}, t("home.uploading"))),
    h("td.pages-cell", {}, percent(upload.share), bar), h("td.extra"), h("td.extra"), h("td.extra"), h("td"));
}

function show() {
  const list = [...jobs.values()].sort((one, other) => (one.queued_at < other.queued_at ? 1 : -1));
  const focused = document.activeElement?.closest("tr")?.dataset.id;
  find("jobs").replaceChildren(...[...uploads.values()].map(uploadRow), ...list.map(row));
  // who was on a row stays there
  if (focused) find("jobs").querySelector(`[data-id="${focused}"] a`)?.focus({ preventScroll: true });
  const none = list.length === 0 && uploads.size === 0;
  find("jobs-none").hidden = !none;
  find("jobs-table").hidden = none;
  find("more").hidden = next === null;
}

let seen = "";
let shownAt = 0;

async function load() {
  const told = await json(`/v1/jobs?limit=${AT_A_TIME}`);
  // where nothing has changed, what is seen stays, and what is selected in it
  const now = JSON.stringify(told);
  if (now === seen && Date.now() - shownAt < TIMES_MS) return;
  seen = now;
  shownAt = Date.now();
  for (const job of told.jobs) jobs.set(job.id, job);
  // those that were at work and are among the latest no more
  const latest = new Set(told.jobs.map((job) => job.id));
  const lost = [...jobs.values()].filter((job) => OPEN.has(job.state) && !latest.has(job.id)).slice(0, 20);
  await Promise.all(lost.map(async (job) => {
    try {
      jobs.set(job.id, await json(`/v1/jobs/${job.id}`));
    } catch {
      jobs.delete(job.id);
    }
  }));
  if (!olderShown) next = told.next;
  show();
}

find("more").addEventListener("click", async () => {
  try {
    const told = await json(`/v1/jobs?limit=200&cursor=${encodeURIComponent(next)}`);
    for (const job of told.jobs) if (!jobs.has(job.id)) jobs.set(job.id, job);
    next = told.next;
    olderShown = true;
    show();
  } catch (error) {
    problem(error);
  }
});

let complained = false;

find("live").replaceChildren(liveButton());
repeat(2, async () => {
  try {
    await load();
    complained = false;
  } catch (error) {
    if (!complained) problem(error);
    complained = true;
  }
});

// --- what is asked for -------------------------------------------------------------------------------------------

let engines = [];
const chosenLanguages = () => [...document.querySelectorAll("#languages-list input:checked")].map((each) => each.value);

function asked() {
  const fields = {};
  const engine = find("engine").value;
  const other = find("compare").value;
  if (other) fields.compare = [engine && engine !== other ? engine : engines.find((each) => each !== other), other];
  else if (engine) fields.engine = engine;
  const languages = chosenLanguages();
  if (languages.length) fields.languages = languages;
  return fields;
}

async function loadEngines() {
  const told = await json("/v1/engines");
  const all = told.engines ?? told;
  engines = all.filter((each) => each.takes_jobs).map((each) => each.name);
  find("no-engine").hidden = engines.length > 0;
  if (!find("engine")) return;
  const readers = all.filter((each) => each.takes_jobs);
  const options = () => readers.map((each) => h("option", { value: each.name }, each.name));
  if (readers.length > 1) find("engine").append(h("option", { value: "auto" }, t("home.engine.auto")));
  find("engine").append(...options());
  find("compare").append(...options());
  find("compare").closest("label").hidden = readers.length < 2;
  const names = new Intl.DisplayNames([document.documentElement.lang], { type: "language", fallback: "none" });
  const languages = [...new Set(readers.flatMap((each) => each.languages))].sort();
  find("languages-list").append(...languages.map((code) => h("label.check", {},
    h("input", { type: "checkbox", value: code, change: showLanguages }), nameOf(names, code), " ", h("code.dim", {}, code))));
  if (!languages.length) find("languages-list").append(h("p.hint", {}, t("home.languages.none")));
}

function nameOf(names, code) {
  try {
    return names.of(code.split("_")[0]) ?? code;
  } catch {
    return code;
  }
}

function showLanguages() {
  find("languages-chosen").textContent = chosenLanguages().join(", ") || t("home.languages.auto");
}

find("compare")?.addEventListener("change", () => {
  if (find("compare").value && find("engine").value === "auto") find("engine").value = "";
});
document.addEventListener("click", (event) => {
  const menu = find("languages");
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});

// --- files -------------------------------------------------------------------------------------------------------

let uploaded = 0;

async function send(files) {
  const fields = asked();
  const waiting = [...files];
  const made = [];
  const one = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      const upload = { name: file.name, share: 0 };
      const key = (uploaded += 1);
      uploads.set(key, upload);
      show();
      try {
        const job = await sendFile(file, fields, (share) => { upload.share = share; show(); });
        jobs.set(job.id, job);
        made.push(job);
      } catch (error) {
        problem(error instanceof Problem ? Object.assign(error, { detail: `${short(file.name, 80)}: ${error.detail ?? error.message}` }) : error);
      }
      uploads.delete(key);
      show();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  if (made.length === 1 && files.length === 1) location.assign(`/jobs/${made[0].id}`);
  else if (made.length) say(t("home.sent", { n: made.length }));
}

const zone = find("drop-zone");
if (zone) {
  const hasFiles = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
  find("files").addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) send(files);
  });
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) send([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData?.files ?? []];
    if (files.length) {
      event.preventDefault();
      send(files);
    } else if (!event.target.closest?.("input, textarea")) {
      const text = event.clipboardData?.getData("text/plain").trim() ?? "";
      if (/^(https?|s3|gs):\/\/\S+$/.test(text)) find("url").value = text;
    }
  });
  find("url-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const image = find("url").value.trim();
    if (!image) { find("url").focus(); return; }
    try {
      // the gateway does not fetch it itself: the searchable PDF has the picture
      const job = await sendReference(image, { ...asked(), outputs: ["pdf"] });
      location.assign(`/jobs/${job.id}`);
    } catch (error) {
      problem(error);
    }
  });
}
try {
  await loadEngines();
} catch (error) {
  problem(error);
}
document.documentElement.dataset.ready = "";
