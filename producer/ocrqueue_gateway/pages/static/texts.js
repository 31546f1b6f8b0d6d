// The words of the interface, in the reader's language; times and numbers as its people write them.

const texts = JSON.parse(document.getElementById("texts").textContent);
const spoken = document.documentElement.lang || "en";
/** The reader's own region where it has this language: who reads English in Seoul or London does not write American times. */
export const language = navigator.languages.find((each) => each.split("-")[0] === spoken) ?? spoken;
const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

/** The text called `name`; `{key}` in it stands for a value. A count `n` takes the text `name.one` where there is one. */
export function t(name, values = {}) {
  let found = texts[name] ?? name;
  if (typeof values.n === "number") found = texts[`${name}.${plurals.select(values.n)}`] ?? found;
  return found.replace(/\{(\w+)\}/g, (whole, key) => {
    if (!(key in values)) return whole;
    return typeof values[key] === "number" ? numbers.format(values[key]) : String(values[key]);
  });
}

export const number = (value) => numbers.format(value);
const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
export const percent = (share) => (share === null || share === undefined ? "–" : percents.format(share));

const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [7 * 86400, "day", 86400]];

/** A moment in the reader's time zone; one of the last days as how long ago. */
export function ago(iso, now = Date.now()) {
  const seconds = (new Date(iso) - now) / 1000;
  for (const [below, unit, size] of STEPS) {
    if (Math.abs(seconds) < below) return relative.format(Math.round(seconds / size), unit);
  }
  return moments.format(new Date(iso));
}

export const moment = (iso) => exact.format(new Date(iso));

/** `<time>`, which tells the exact moment to who points at it. */
export function timeElement(iso) {
  const made = document.createElement("time");
  made.dateTime = iso;
  made.title = moment(iso);
  made.textContent = ago(iso);
  return made;
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"], [0.001, "millisecond"]];

/** How long, in one unit: `3 min`. */
export function duration(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size || size < 1) {
      const digits = size === 1 && seconds < 10 ? 1 : 0;
      return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits })
        .format(seconds / size);
    }
  }
  return "";
}
