// What the operator's pages have in common: what the reader may do, live overviews, rows that are changed in place.

import { find, h } from "../elements.js";
import { events, liveButton } from "../live.js";
import { language, t } from "../texts.js";

const scopes = new Set(find("live").dataset.scopes.split(" "));

/** Whether the key lets its owner cancel and delete, or have jobs read again. */
export const mayCancel = scopes.has("cancel");
export const mayReplay = scopes.has("cancel") && scopes.has("submit");

find("live").append(liveButton());

/** `handle` gets the overview now and whenever it has changed. */
export function followOverview(handle) {
  events("/v1/overview/events", { overview: handle });
}

/** Leaves alone what is the same: nobody's selection or reading is disturbed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The rows of a table, or the items of a list: each stays the same element for as long as it is there, so that focus
 * stays where it is and nothing jumps. `make(item)` returns `{element, update(item)}`. */
export class Rows {
  constructor(parent, keyOf, make) {
    Object.assign(this, { parent, keyOf, make, known: new Map() });
  }

  set(items) {
    const gone = new Set(this.known.keys());
    let before = null;
    for (const item of items) {
      const key = this.keyOf(item);
      gone.delete(key);
      let row = this.known.get(key);
      if (!row) {
        row = this.make(item);
        this.known.set(key, row);
      }
      row.update(item);
      const next = before ? before.nextElementSibling : this.parent.firstElementChild;
      if (next !== row.element) this.parent.insertBefore(row.element, next);
      before = row.element;
    }
    for (const key of gone) {
      this.known.get(key).element.remove();
      this.known.delete(key);
    }
  }
}

/** A dialog, which is gone once it is closed; focus then goes back to where it was. */
export function openDialog(title, ...content) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const made = h("dialog", { "aria-labelledby": "dialog-title", close: () => made.remove() }, heading, ...content);
  document.body.append(made);
  made.showModal();
  return made;
}

/** How a job's state is shown. */
export const stateElement = (state) => h(`span.state.${state}`, {}, t(`state.${state}`));

/** The tenant's name; jobs that name none have no tenant. */
export const tenantName = (name) => name || t("operate.no_tenant");

const UNITS = [[1e9, "gigabyte", 1], [1e6, "megabyte", 0], [1e3, "kilobyte", 0]];

export function bytes(count) {
  for (const [size, unit, digits] of UNITS) {
    if (count >= size) {
      return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: digits }).format(count / size);
    }
  }
  return new Intl.NumberFormat(language, { style: "unit", unit: "byte" }).format(count);
}
