// What is paused, and pausing: an engine, a lane of it, or a tenant.

import { post } from "../api.js";
import { h, outside, say } from "../elements.js";
import { notice, problem } from "../notices.js";
import { t, timeElement } from "../texts.js";
import { openDialog, setText, tenantName } from "./common.js";

const pathOf = (kind, name) => (kind === "tenant" ? `/v1/tenants/${encodeURIComponent(name || "-")}` : `/v1/queues/${encodeURIComponent(name)}`);
const nameOf = (kind, name) => (kind === "tenant" ? tenantName(name) : name);

async function resume(kind, name) {
  try {
    await post(`${pathOf(kind, name)}/resume`, {});
    say(t("operate.resumed", { name: nameOf(kind, name) }));
  } catch (error) {
    problem(error);
  }
}

/** Asks why, and pauses. */
function pause(kind, name) {
  const reason = h("input", { maxlength: "200", name: "reason", autocomplete: "off" });
  const form = h("form", {
    method: "dialog",
    submit: async (event) => {
      event.preventDefault();
      dialog.close();
      try {
        await post(`${pathOf(kind, name)}/pause`, { reason: reason.value });
        notice("done", t("operate.paused", { name: nameOf(kind, name) }));
      } catch (error) {
        problem(error);
      }
    },
  },
  h("p", {}, t(`operate.pause.${kind}`)),
  h("label.field", {}, t("operate.pause.reason"), reason),
  h("div.dialog-actions", {},
    h("button", { type: "button", click: () => dialog.close() }, t("operate.close")),
    h("button.main", { type: "submit" }, t("operate.pause"))));
  const dialog = openDialog(t("operate.pause.title", { name: nameOf(kind, name) }), form);
  reason.focus();
}

/** A button that pauses or resumes; `update(isPaused)` says which. */
export function pauseButton(kind, name) {
  let paused = false;
  const element = h("button.small", { type: "button", click: () => (paused ? resume(kind, name) : pause(kind, name)) });
  return {
    element,
    update: (now) => {
      paused = now;
      setText(element, t(now ? "operate.resume" : "operate.pause"));
      element.setAttribute("aria-label", t(now ? "operate.resume.title" : "operate.pause.title", { name: nameOf(kind, name) }));
    },
  };
}

/** What holds something back, above all else. */
export function pauseItem({ kind, name, since, reason }) {
  const element = h("li", {},
    h("strong", {}, t(`operate.paused.${kind}`), " ", outside(nameOf(kind, name), 60)), " ", h("span.dim", {}, timeElement(since)),
    reason ? h("span", {}, outside(reason)) : null,
    h("button.small", { type: "button", "aria-label": t("operate.resume.title", { name: nameOf(kind, name) }), click: () => resume(kind, name) }, t("operate.resume")));
  return { element, update: () => {} };
}
