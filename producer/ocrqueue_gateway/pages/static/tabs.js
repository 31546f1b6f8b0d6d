// Tabs by WAI-ARIA's pattern: arrow keys go from one to the next.

import { find } from "./elements.js";

/** `names` of elements `tab-NAME` and `panel-NAME`. Returns what shows one; `focus`: and goes to it. */
export function tabs(names, onShow) {
  const show = (name, focus = false) => {
    for (const each of names) {
      const is = each === name;
      find(`tab-${each}`).setAttribute("aria-selected", String(is));
      find(`tab-${each}`).tabIndex = is ? 0 : -1;
      find(`panel-${each}`).hidden = !is;
    }
    if (focus) find(`tab-${name}`).focus();
    onShow(name);
  };
  for (const [at, name] of names.entries()) {
    const tab = find(`tab-${name}`);
    tab.addEventListener("click", () => show(name));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      show(names[(to + names.length) % names.length], true);
    });
  }
  return show;
}
