// Single keys that do something, wherever the focus is but where letters are filled in; and the list of them. Who speaks to the
// computer can switch them off (WCAG 2.1.4).

import { h } from "./elements.js";
import { t } from "./texts.js";

const OFF = "ocrqueue.keys.off";
const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page ↑", PageDown: "Page ↓" };
const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);
/** In these a letter is something that is filled in. A dialog that has just closed keeps the focus until the next frame. */
const FILLED_IN = "input:not([type=checkbox], [type=range]), textarea, select, dialog[open], details[open]";
/** What moves a slider stays its own. */
const SLIDES = new Set([...ARROWS, "PageUp", "PageDown", "Home", "End"]);

/** `all`: {keys, text (its name in the list; empty: not listed), action, shift (may come with it), unless (a selector)}. */
export function addKeys(dialog, list, opener, choice, all) {
  choice.checked = localStorage.getItem(OFF) === null;
  choice.addEventListener("change", () => {
    if (choice.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "");
  });
  for (const { keys, text } of all) {
    if (!text) continue;
    list.append(h("dt", {}, ...keys.flatMap((key) => [h("kbd", {}, NAMES[key] ?? key), " "])), h("dd", {}, t(text)));
  }
  const open = () => dialog.showModal();
  opener.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target.closest(FILLED_IN) || (event.target.matches("[type=range]") && SLIDES.has(event.key))) return;
    if (!choice.checked && !ARROWS.has(event.key)) return;
    if (event.key === "?") { open(); return; }
    const found = all.find((each) => each.keys.includes(event.key));
    if (!found || (event.shiftKey && ARROWS.has(event.key) && !found.shift)) return;
    if (found.unless && event.target.closest(found.unless)) return;
    event.preventDefault();
    found.action(event);
  });
}
