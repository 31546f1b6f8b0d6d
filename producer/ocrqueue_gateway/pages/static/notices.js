// Short notices at the page's edge. A problem stays until it is closed, all else for some seconds.

import { t } from "./texts.js";
import { find, h, outside } from "./elements.js";

const SHOWN_MS = 6000;
const MOST = 4;

/** `kind`: "done" or "problem". `more`: the code, or a button. */
export function notice(kind, text, ...more) {
  const close = h("button.quiet", { type: "button", "aria-label": t("frame.notice.close"), click: () => shown.remove() }, "×");
  const shown = h(`div.notice.${kind}`, { role: kind === "problem" ? "alert" : "status" }, h("span", {}, text), ...more, close);
  const all = find("notices");
  all.append(shown);
  while (all.children.length > MOST) all.firstElementChild.remove();
  if (kind !== "problem") setTimeout(() => shown.remove(), SHOWN_MS);
  return shown;
}

/** What the gateway has answered in place of what was asked for; while it is shown, the same is not shown again. */
export function problem(error) {
  const key = `${error.code ?? ""} ${error.detail ?? error.message}`;
  const same = [...find("notices").children].find((each) => each.dataset.problem === key);
  if (same) return same;
  const shown = notice("problem", h("span", {}, h("strong", {}, outside(error.detail ?? error.message)), " ", outside(error.remedy ?? "", 300)),
    error.code ? h("code", {}, error.code) : null);
  shown.dataset.problem = key;
  return shown;
}
