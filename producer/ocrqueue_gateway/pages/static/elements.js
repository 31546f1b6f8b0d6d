// Elements, whose text is always text. What comes from outside is shown by `plain`: control characters and marks that
// turn the direction of what stands around them become a sign of their own.

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/g;
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** `text` made harmless, character for character, so that places in it stay what they are. */
export const plain = (text) => String(text).replace(CONTROL, "\ufffd").replace(LONE, "\ufffd");

/** The same on one line, cut at `most` characters. */
export function short(text, most = 80) {
  const line = plain(text).replace(/\s+/g, " ");
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

/** `h("p.hint", {title: "..."}, "text", element)`: attributes with a function are listeners; false leaves one out. */
export function h(kind, attributes = {}, ...content) {
  const [name, ...classes] = kind.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key === "value" || key === "checked" || key === "disabled") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...content.filter((each) => each !== null && each !== undefined && each !== false));
  return made;
}

/** Text from outside, apart from what stands around it. */
export const outside = (text, most = 200) => h("bdi", {}, short(text, most));

export const find = (id) => document.getElementById(id);

let saying = null;

/** Say something to those who hear the page, `after` so many milliseconds if nothing else was said by then: what is said
 * last is what is heard. */
export function say(text, after = 0) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    const region = find("said");
    region.textContent = "";
    // a region that gets the same text again is heard only if it was empty between
    saying = setTimeout(() => { region.textContent = text; }, 20);
  }, after);
}
