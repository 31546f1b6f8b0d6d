// Workers: their engines, children, memory, troubles, and what each reads now.

import { find, h, outside } from "../elements.js";
import { ago, duration, number, t } from "../texts.js";
import { bytes, followOverview, Rows, setText, tenantName } from "./common.js";

const MOST_SHOWN = 8;

function readingItem(part) {
  const place = h("span.dim");
  const element = h("li", {}, h("a.mono", { href: `/operate/jobs/${encodeURIComponent(part.job)}` }, part.job), " ", place);
  return {
    element,
    update: (now) => {
      const told = [now.engine, tenantName(now.tenant)];
      if (now.page) told.push(t("operate.page", { n: now.page }));
      else if (now.pages) told.push(t("operate.pages_done", { done: now.pages_done, pages: now.pages }));
      if (now.attempt > 1) told.push(t("operate.attempt_number", { n: now.attempt }));
      told.push(now.begun_at ? duration(Math.max(0, (Date.now() - new Date(now.begun_at)) / 1000)) : t("operate.not_begun"));
      setText(place, told.join(" · "));
    },
  };
}

function troubleItem(trouble) {
  return {
    element: h("li", {}, h("strong", {}, outside(trouble.what, 60)), " ", outside(trouble.error.message, 300), " ", outside(trouble.error.remedy, 300), " ", h("code", {}, trouble.error.code)),
    update: () => {},
  };
}

function workerRow(worker) {
  const doing = h("span.doing");
  const children = h("td.number");
  const memory = h("td.number");
  const since = h("td.number");
  const list = h("ul.reading");
  const more = h("p.dim");
  const troubles = h("ul.troubles");
  const reading = new Rows(list, (part) => `${part.job} ${part.page}`, readingItem);
  const known = new Rows(troubles, (trouble) => `${trouble.what} ${trouble.error.code}`, troubleItem);
  const engines = h("td");
  const element = h("tr", {}, h("th", { scope: "row" }, outside(worker.name, 80), doing, troubles), engines, children, memory, since, h("td.reads", {}, list, more));
  return {
    element,
    update: (now) => {
      setText(doing, t(`operate.doing.${now.doing}`));
      doing.className = `doing ${now.doing}`;
      setText(engines, now.engines.join(", "));
      setText(children, t("operate.of", { n: now.running ?? 0, all: now.concurrency }));
      setText(memory, now.memory_bytes === null ? "–" : bytes(now.memory_bytes));
      setText(since, ago(now.started_at));
      reading.set(now.reading.slice(0, MOST_SHOWN));
      const beyond = now.reading.length - MOST_SHOWN;
      setText(more, beyond > 0 ? t("operate.and_more", { n: beyond }) : now.reading.length ? "" : t("operate.reads_nothing"));
      known.set(now.troubles);
      troubles.hidden = !now.troubles.length;
    },
  };
}

const rows = new Rows(find("workers"), (worker) => `${worker.name} ${worker.started_at}`, workerRow);

followOverview(({ workers }) => {
  rows.set(workers);
  find("workers-table").hidden = !workers.length;
  find("no-workers").hidden = workers.length > 0;
  document.title = `${t("operate.workers")} (${number(workers.length)}) · ocrqueue`;
});
