// Dead letters by their error: how many, what helps, the newest of them, and replaying them.

import { json } from "../api.js";
import { find, h, outside } from "../elements.js";
import { problem } from "../notices.js";
import { number, t, timeElement } from "../texts.js";
import { act } from "./actions.js";
import { followOverview, mayReplay, Rows, setText, tenantName } from "./common.js";

const SHOWN = 20;
const jobsPath = (code) => `/operate/jobs?${new URLSearchParams({ state: "failed", code })}`;

function jobRow(job) {
  return {
    element: h("tr", {},
      h("th", { scope: "row" }, h("a.mono", { href: `/operate/jobs/${encodeURIComponent(job.id)}` }, job.id)),
      h("td", {}, outside(job.name ?? job.image, 60)), h("td", {}, job.engine), h("td", {}, outside(tenantName(job.tenant), 64)),
      h("td", {}, outside(job.tag ?? "", 60)), h("td", {}, outside(job.error?.message ?? "", 160)),
      h("td.number", {}, timeElement(job.finished_at ?? job.queued_at))),
    update: () => {},
  };
}

function group({ code }) {
  const count = h("span.count");
  const remedy = h("p.hint");
  const body = h("tbody");
  const jobs = new Rows(body, (job) => `${job.id} ${job.finished_at}`, jobRow);
  const inside = h("div.scroll", { hidden: true, role: "region", "aria-label": code, tabindex: "0" }, h("table", {},
    h("thead", {}, h("tr", {}, ...["job", "image", "engine", "tenant", "tag", "error", "ended"].map((name, index) => (
      h(index === 6 ? "th.number" : "th", { scope: "col" }, t(`operate.${name}`)))))), body));
  const more = h("p", { hidden: true }, h("a", { href: jobsPath(code) }, t("operate.dead.list")));
  let open = false;
  let total = 0;
  const load = async () => {
    try {
      const told = await json(`/v1/dead?${new URLSearchParams({ code, limit: SHOWN })}`);
      jobs.set(told.jobs);
      more.hidden = !told.next;
      setText(remedy, told.jobs[0]?.error?.remedy ?? "");
    } catch (error) {
      problem(error);
    }
  };
  const toggle = h("button.quiet.toggle", { type: "button", "aria-expanded": "false", click: () => {
    open = !open;
    toggle.setAttribute("aria-expanded", String(open));
    inside.hidden = !open;
    more.hidden = !open || total <= SHOWN;
  } }, h("code", {}, code));
  const replay = h("button.small", { type: "button", disabled: !mayReplay, click: () => act("replay", { state: "failed", code }, load) });
  const element = h("section.card.group", {}, h("div.heading", {}, h("h2", {}, toggle), count, h("span.room"), replay), remedy, inside, more);
  return {
    element,
    update: ({ count: now }) => {
      setText(count, t("operate.jobs_count", { n: now }));
      setText(replay, t("operate.dead.replay", { n: now }));
      if (now !== total) { total = now; load(); }
    },
  };
}

const groups = new Rows(find("groups"), (each) => each.code, group);

async function load() {
  try {
    const { by_code: byCode } = await json("/v1/dead?limit=1");
    const found = Object.entries(byCode).map(([code, count]) => ({ code, count }));
    // by name: a replay moves no other group
    groups.set(found.sort((one, other) => one.code.localeCompare(other.code)));
    find("no-dead").hidden = found.length > 0;
    document.title = `${t("operate.dead")} (${number(found.reduce((sum, each) => sum + each.count, 0))}) · ocrqueue`;
  } catch (error) {
    problem(error);
  }
}

let known = null;
followOverview(({ counts }) => {
  const now = `${counts.dead} ${counts.failed}`;
  if (now !== known) { known = now; load(); }
});
