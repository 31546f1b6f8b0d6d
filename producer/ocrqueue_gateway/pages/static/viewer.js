// One job's document: the parts of the view, the keys, progress, and what is done with the whole.

import { ask, json, Problem } from "./api.js";
import { Compare } from "./compare.js";
import { copyText } from "./clipboard.js";
import { Doubtful } from "./doubtful.js";
import { find, h, outside, say, short } from "./elements.js";
import { FindBar } from "./find_bar.js";
import { addKeys } from "./keys.js";
import { events, liveButton } from "./live.js";
import { notice, problem } from "./notices.js";
import { PageStrip } from "./page_strip.js";
import { Picture } from "./picture.js";
import { ReaderState } from "./reader_state.js";
import { tabs } from "./tabs.js";
import { TextPane } from "./text_pane.js";
import { duration, number, percent, t } from "./texts.js";
import { WordCard } from "./word_card.js";

const PAUSE_MS = 150;
const ENDED = new Set(["succeeded", "partial", "failed", "cancelled"]);
const root = find("reader");
const state = new ReaderState(root.dataset.job);
const picture = new Picture(find("picture"), state, root.dataset.blank);
const text = new TextPane(find("text"), state);
const doubtful = new Doubtful(state);
const finder = new FindBar(state);
const compare = new Compare(state);
new WordCard(state, picture);
new PageStrip(state);
const show = tabs(["text", "doubtful", "find", "compare"], (name) => {
  compare.shown = name === "compare";
  if (name === "text") text.reveal(state.word);
  if (name === "doubtful") doubtful.list.show(doubtful.words.indexOf(state.word));
});

// --- the whole job -----------------------------------------------------------------------------------------------

function showJob(job) {
  state.job = job;
  find("state").className = `state ${job.state}`;
  find("state").textContent = t(`state.${job.state}`);
  find("cancel").hidden = root.dataset.mayCancel !== "True" || ENDED.has(job.state);
  const facts = [];
  if (job.words !== null) facts.push(t("viewer.words", { n: job.words }));
  if (job.mean_confidence !== null) facts.push(t("viewer.confidence", { share: percent(job.mean_confidence) }));
  if (job.agreement !== null) facts.push(t("viewer.agreement", { share: percent(job.agreement) }));
  facts.push(job.agreement === null ? job.engine : job.trail.map((step) => step.engine).join(", "));
  find("summary").textContent = facts.join(" · ");
  showProgress(job);
  showFailure(job);
  state.tell("job");
}

function showProgress(job) {
  find("progress").hidden = ENDED.has(job.state);
  const bar = find("progress-bar");
  if (job.state === "running" && job.pages) {
    bar.value = job.pages_done / job.pages;
    find("progress-text").textContent = t("viewer.progress.pages", { done: job.pages_done, n: job.pages });
  } else {
    bar.removeAttribute("value");
    const { place } = job;
    find("progress-text").textContent = job.state === "running" ? t("viewer.progress.reading")
      : !place ? t("viewer.progress.queued")
        : place.wait_s === null ? t("viewer.progress.before", { n: place.ahead })
          : t("viewer.progress.wait", { n: place.ahead, wait: duration(place.wait_s) });
  }
}

function showFailure(job) {
  const shown = find("failure");
  const error = job.state === "failed" ? job.error : state.failure ?? state.page?.error ?? null;
  shown.hidden = !error && job.state !== "cancelled";
  if (error) shown.replaceChildren(h("strong", {}, outside(error.message ?? error.detail, 300)), " ", outside(error.remedy ?? "", 400), " ", h("code", {}, error.code ?? ""));
  else if (job.state === "cancelled") shown.textContent = t("viewer.cancelled");
}

let stopped = () => {};
let loading = null;

/** Look again at what there is, once at a time. */
async function refresh() {
  if (loading) { loading.again = true; return; }
  loading = { again: false };
  try {
    await state.loadAbout();
    await openFirst();
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "job.not_finished") problem(error);
  } finally {
    const { again } = loading;
    loading = null;
    if (again) refresh();
  }
}

async function openFirst() {
  if (state.number === null) {
    const wanted = new URLSearchParams(location.search);
    const asked = Number(wanted.get("page"));
    const first = state.numbers.includes(asked) ? asked : state.about.read[0] ?? state.numbers[0];
    if (first !== undefined) await state.open(first, wanted.get("word"));
  } else if (!state.page) {
    await state.open(state.number);
  }
}

function follow() {
  stopped = events(`/v1/jobs/${state.id}/events`, {
    state: (job) => { showJob(job); refresh(); },
    place: showJob,
    end: (job) => {
      stopped();
      find("live").replaceChildren();
      showJob(job);
      say(t(`state.${job.state}`));
      if (job.state === "succeeded" || job.state === "partial") refresh();
    },
  });
}

// --- pages -------------------------------------------------------------------------------------------------------

function stepPage(step) {
  const at = state.placeOf(state.number) + step;
  if (at >= 0 && at < state.numbers.length) state.open(state.numbers[at]);
}

function showPage() {
  const { numbers } = state;
  const at = state.placeOf(state.number);
  find("page-number").value = state.number ?? "";
  find("page-count").textContent = numbers.length ? `/ ${number(numbers.length)}` : "";
  document.querySelector(".tools .pages").hidden = numbers.length < 2;
  find("page-previous").disabled = at <= 0;
  find("page-next").disabled = at < 0 || at >= numbers.length - 1;
  const waits = find("picture-waits");
  waits.hidden = state.page !== null || state.number === null || Boolean(state.failure);
  waits.textContent = state.number !== null && !state.isRead(state.number) ? t("viewer.page.waiting", { n: state.number }) : t("viewer.page.loading");
  const none = find("text-none");
  none.hidden = !state.page || state.page.count > 0;
  none.textContent = t("viewer.text.none");
  find("picture-problem").hidden = true;
  find("copy").disabled = !state.page?.count;
  if (state.job) showFailure(state.job);
  showAddress();
}

/** The address is what is looked at, so that it can be shared. */
function showAddress() {
  if (state.number === null) return;
  const query = new URLSearchParams();
  if (state.numbers.length > 1) query.set("page", state.number);
  if (state.page && state.word >= 0) query.set("word", state.page.id(state.word));
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
}

picture.onProblem = (told) => {
  const shown = find("picture-problem");
  shown.hidden = !told;
  shown.replaceChildren(...(told ? [h("strong", {}, outside(told.message ?? "", 300)), " ", outside(told.remedy ?? "", 300)] : []));
};

state.on("about page", showPage);
state.on("about", showFormats);
let addressed = null;
state.on("word", () => {
  // a browser takes only so many addresses in a while, and who hears the words wants the one that is stopped at
  clearTimeout(addressed);
  addressed = setTimeout(showAddress, PAUSE_MS);
  const { page, word } = state;
  if (!page || word < 0) return;
  const confidence = page.confidence[word];
  say(`${short(page.shown(word), 60)}, ${confidence < 0 ? t("viewer.word.no_confidence") : percent(confidence / 100)}`, PAUSE_MS);
});

// --- what is done with it ----------------------------------------------------------------------------------------

function showFormats() {
  const { about } = state;
  const many = about.read.length > 1;
  const is = about.state === "succeeded" || about.state === "partial";
  find("downloads").classList.toggle("disabled", !is);
  find("formats").replaceChildren(...(is ? about.formats.map(({ name, ending }) => {
    const page = name === "page" && many ? "&page=" : "";
    const link = h("a.format", { href: `/v1/jobs/${state.id}/result?format=${name}`, download: `${state.id}.${ending}` }, h("span", {}, t(`format.${name}`)), h("code", {}, `.${ending}`));
    // of each page a file: the one that is looked at
    if (page) link.addEventListener("click", () => { link.href = `/v1/jobs/${state.id}/result?format=${name}${page}${state.number}`; });
    return link;
  }) : [h("p.hint", {}, t("viewer.download.not_yet"))]));
}

async function copy() {
  const { page, selection } = state;
  if (!page?.count) return;
  await copyText(selection ? page.raw(selection.first, selection.last) : page.raw(0, page.count - 1));
  notice("done", selection ? t("viewer.copied.selection", { n: selection.last - selection.first + 1 }) : t("viewer.copied.page"));
}

async function share() {
  showAddress();
  await copyText(location.href);
  notice("done", t("viewer.shared"));
}

async function cancel() {
  try {
    await ask(`/v1/jobs/${state.id}`, { method: "DELETE" });
    say(t("viewer.cancel.asked"));
  } catch (error) {
    problem(error);
  }
}

function setBoxes() {
  const on = !picture.boxes;
  picture.setBoxes(on);
  find("boxes").setAttribute("aria-pressed", String(on));
}

const clicks = {
  copy, share, cancel, boxes: setBoxes,
  "page-previous": () => stepPage(-1), "page-next": () => stepPage(1),
  "zoom-in": () => picture.zoom(1.5), "zoom-out": () => picture.zoom(1 / 1.5), "zoom-fit": () => picture.fit(), turn: () => picture.turn(),
};
for (const [id, action] of Object.entries(clicks)) find(id).addEventListener("click", action);
find("page-number").addEventListener("change", (event) => {
  const wanted = Number(event.target.value);
  if (state.numbers.includes(wanted)) state.open(wanted);
  else showPage();
});
document.addEventListener("click", (event) => {
  const menu = find("downloads");
  if (menu.open && !menu.contains(event.target)) menu.open = false;
});

addKeys(find("help"), find("keys"), find("help-open"), find("keys-on"), [
  { keys: ["ArrowLeft", "ArrowRight"], text: "viewer.keys.words", shift: true, action: (event) => state.move(event.key === "ArrowLeft" ? -1 : 1, false, event.shiftKey) },
  { keys: ["ArrowUp", "ArrowDown"], text: "viewer.keys.lines", shift: true, action: (event) => state.move(event.key === "ArrowUp" ? -1 : 1, true, event.shiftKey) },
  { keys: ["n", "p"], text: "viewer.keys.doubtful", action: (event) => doubtful.step(event.key === "n" ? 1 : -1) },
  { keys: ["d", "D"], text: "viewer.keys.differences", action: (event) => { show("compare"); state.stepDifference(event.key === "d" ? 1 : -1); } },
  { keys: ["[", "]"], text: "viewer.keys.pages", action: (event) => stepPage(event.key === "[" ? -1 : 1) },
  { keys: ["PageUp", "PageDown"], text: "", action: (event) => stepPage(event.key === "PageUp" ? -1 : 1), unless: ".page-text, .compare" },
  { keys: ["/"], text: "viewer.keys.find", action: () => { show("find"); finder.focus(); } },
  { keys: ["1", "2", "3", "4"], text: "viewer.keys.tabs", action: (event) => show(["text", "doubtful", "find", "compare"][Number(event.key) - 1], true) },
  { keys: ["+", "-", "0", "w"], text: "viewer.keys.zoom", action: (event) => ({ "+": () => picture.zoom(1.5), "-": () => picture.zoom(1 / 1.5), 0: () => picture.fit(), w: () => picture.fitWidth() })[event.key]() },
  { keys: ["h", "j", "k", "l"], text: "viewer.keys.pan", action: (event) => picture.pan(...{ h: [-1, 0], j: [0, 1], k: [0, -1], l: [1, 0] }[event.key]) },
  { keys: ["b", "r"], text: "viewer.keys.view", action: (event) => (event.key === "b" ? setBoxes() : picture.turn()) },
  { keys: ["c", "s"], text: "viewer.keys.take", action: (event) => (event.key === "c" ? copy() : share()) },
]);

const job = await json(`/v1/jobs/${state.id}`).catch((error) => { problem(error); return null; });
if (job) {
  showJob(job);
  if (!ENDED.has(job.state)) {
    find("live").replaceChildren(liveButton());
    follow();
  } else if (job.state === "succeeded" || job.state === "partial") {
    await refresh();
  }
}
document.documentElement.dataset.ready = "";
