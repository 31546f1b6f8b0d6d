// What is done with many jobs: counted first, then done by the gateway, which goes on though the page is closed.

import { json, post } from "../api.js";
import { h, outside, say } from "../elements.js";
import { language, t } from "../texts.js";
import { mayCancel, mayReplay, openDialog, setText } from "./common.js";

const LOOK_MS = 400;
const MANY = 1000;

export const may = (action) => (action === "replay" ? mayReplay : mayCancel);

const ask = (action, filter, dryRun) => post("/v1/actions", {
  action, filter, dry_run: dryRun, ...(Object.keys(filter).length ? {} : { all_jobs: true }),
});

/** The action once it has ended; `onStep` gets it whenever it was looked at. `isGone()`: nobody wants to know any more. */
async function ended(asked, onStep, isGone) {
  let now = asked;
  while (!isGone()) {
    onStep(now);
    if (now.state === "done" || now.state === "failed") return now;
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    now = await json(`/v1/actions/${now.id}`);
  }
  return null;
}

/** `filter` in words. */
function inWords(filter) {
  const { ids, ...rest } = filter;
  const told = ids ? [t("operate.action.ids", { n: ids.length })] : [];
  for (const [name, value] of Object.entries(rest)) {
    if (name === "state") told.push([value].flat().map((state) => t(`state.${state}`)).join(" / "));
    else if (name === "since") told.push(t("operate.action.since", { value: new Date(value).toLocaleString(language) }));
    else told.push(`${t(`operate.${name}`)}: ${value}`);
  }
  return told.join(" · ") || t("operate.action.all");
}

/** Counts, asks, does. `onDone` is called once it has changed something. */
export function act(action, filter, onDone) {
  const about = h("p.dim", {}, outside(inWords(filter), 300));
  const told = h("p", { role: "status" }, t("operate.action.counting"));
  const bar = h("progress", { "aria-label": t(`operate.action.${action}.title`), hidden: true });
  const close = h("button", { type: "button", click: () => dialog.close() }, t("operate.close"));
  const go = h(`button.main${action === "delete" ? ".danger" : ""}`, { type: "button", disabled: true }, t(`operate.${action}`));
  const dialog = openDialog(t(`operate.action.${action}.title`), about, told, bar, h("div.dialog-actions", {}, close, go));
  const isGone = () => !dialog.isConnected;
  const fail = (error) => {
    told.className = "problem";
    told.replaceChildren(h("strong", {}, outside(error.detail ?? error.message ?? "", 300)), " ", outside(error.remedy ?? "", 300));
    go.hidden = true;
  };

  async function count() {
    const counted = await ended(await ask(action, filter, true), () => {}, isGone);
    if (!counted) return;
    if (counted.state === "failed") { fail(counted.error ?? {}); return; }
    const n = counted.matched ?? 0;
    setText(told, t(`operate.action.${action}.count`, { n }));
    if (action === "delete" && n >= MANY) told.append(" ", h("strong", {}, t("operate.action.delete.many")));
    setText(go, n ? t(`operate.action.${action}.do`, { n }) : t(`operate.${action}`));
    go.disabled = !n;
    (n ? go : close).focus();
  }

  async function carryOut() {
    go.disabled = true;
    bar.hidden = false;
    const done = await ended(await ask(action, filter, false), (now) => {
      if (now.matched !== null) { bar.max = Math.max(now.matched, 1); bar.value = Math.min(now.jobs, now.matched); }
      setText(told, t("operate.action.progress", { n: now.jobs, all: now.matched ?? "…" }));
    }, isGone);
    onDone();
    if (!done) return;
    if (done.state === "failed") { fail(done.error ?? {}); return; }
    bar.max = 1;
    bar.value = 1;
    const text = t(`operate.action.${action}.done`, { n: done.jobs });
    const left = done.still_running ? ` ${t("operate.action.still_running", { n: done.still_running })}` : "";
    const stored = done.left_in_storage ? ` ${t("operate.action.left_in_storage", { n: done.left_in_storage })}` : "";
    setText(told, text + left + stored);
    say(text);
    go.hidden = true;
    close.focus();
  }

  go.addEventListener("click", () => carryOut().catch(fail));
  count().catch(fail);
}
