// The clipboard, also where the page did not come by TLS and browsers have no other way.

import { h } from "./elements.js";

export async function copyText(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // not permitted: the older way may be
    }
  }
  const before = document.activeElement;
  const field = h("textarea", { value: text, readonly: true, "aria-hidden": "true" });
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  before?.focus();
}
