// The table of queues: an engine with what its lanes come to, and under it each lane.

import { find, h, outside } from "../elements.js";
import { duration, number, t } from "../texts.js";
import { setText } from "./common.js";
import { pauseButton } from "./pausing.js";

const dash = "–";
const orDash = (value, show) => (value === null || value === undefined ? dash : show(value));

function cells(row, texts) {
  texts.forEach((text, index) => setText(row.children[index + 1], text));
}

function laneRow(lane) {
  const button = pauseButton("lane", lane.name);
  const element = h("tr.lane", {},
    h("th", { scope: "row" }, t(`operate.lane.${lane.lane}`)),
    ...Array.from({ length: 6 }, () => h("td.number")),
    h("td.number", {}, button.element));
  return {
    element,
    // a lane goes on with its engine, unless it is paused itself
    update: (now, isPaused) => {
      const emptyIn = now.waiting && !now.paused ? orDash(now.empty_in_s, duration) : dash;
      cells(element, [number(now.waiting), orDash(now.oldest_wait_s, duration), "", emptyIn, "", ""]);
      element.classList.toggle("paused", now.paused);
      button.update(isPaused);
    },
  };
}

/** `isPaused(kind, name)`: whether an engine or a lane itself is. */
class EngineRows {
  constructor(engine, isPaused) {
    this.isPaused = isPaused;
    this.engine = engine;
    this.button = pauseButton("engine", engine);
    this.toggle = h("button.quiet.toggle", { type: "button", "aria-expanded": "false", click: () => this.#open(!this.isOpen) }, outside(engine, 60));
    this.row = h("tr.engine", {}, h("th", { scope: "row" }, this.toggle),
      ...Array.from({ length: 6 }, () => h("td.number")), h("td.number", {}, this.button.element));
    this.lanes = new Map();
  }

  #open(now) {
    this.isOpen = now;
    this.toggle.setAttribute("aria-expanded", String(now));
    for (const each of this.lanes.values()) each.element.hidden = !now;
  }

  update(lanes) {
    const waiting = lanes.reduce((sum, lane) => sum + lane.waiting, 0);
    const oldest = lanes.reduce((most, lane) => Math.max(most, lane.oldest_wait_s ?? -1), -1);
    const emptyIn = lanes.reduce((most, lane) => Math.max(most, lane.waiting && !lane.paused ? lane.empty_in_s ?? -1 : -1), -1);
    const [{ jobs_per_minute: rate, workers, limit }] = lanes;
    cells(this.row, [number(waiting), oldest < 0 ? dash : duration(oldest),
      orDash(rate, (each) => t("operate.a_minute", { n: Math.round(each * 10) / 10 })),
      emptyIn < 0 ? dash : duration(emptyIn), number(workers), orDash(limit, number)]);
    const paused = this.isPaused("engine", this.engine);
    this.row.classList.toggle("paused", paused);
    this.row.classList.toggle("idle", !workers && !waiting);
    this.row.classList.toggle("stuck", !workers && waiting > 0);
    this.button.update(paused);
    for (const lane of lanes) {
      if (!this.lanes.has(lane.name)) this.lanes.set(lane.name, laneRow(lane));
      this.lanes.get(lane.name).update(lane, this.isPaused("lane", lane.name));
    }
    // from then on whoever looks at it opens and closes it
    if (this.isOpen === undefined) this.#open(workers > 0 || waiting > 0);
  }

  elements() { return [this.row, ...[...this.lanes.values()].map((each) => each.element)]; }
}

export class Queues {
  constructor() {
    this.body = find("queues");
    this.engines = new Map();
    this.pauses = [];
  }

  update({ queues, pauses }) {
    this.pauses = pauses;
    const byEngine = grouped(queues);
    const wanted = [];
    for (const [engine, lanes] of byEngine) {
      if (!this.engines.has(engine)) {
        this.engines.set(engine, new EngineRows(engine, (kind, name) => this.pauses.some((each) => each.kind === kind && each.name === name)));
      }
      const rows = this.engines.get(engine);
      rows.update(lanes);
      wanted.push(...rows.elements());
    }
    for (const [engine, rows] of this.engines) {
      if (!byEngine.has(engine)) { rows.elements().forEach((each) => each.remove()); this.engines.delete(engine); }
    }
    if (wanted.some((element, index) => this.body.children[index] !== element)) this.body.append(...wanted);
  }
}

/** By engine, in the order of the first lane of each. */
function grouped(queues) {
  const found = new Map();
  for (const lane of queues) found.set(lane.engine, [...(found.get(lane.engine) ?? []), lane]);
  return found;
}
