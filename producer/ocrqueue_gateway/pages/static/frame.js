// What every page has: the choice of language and colours.

import { find } from "./elements.js";

function remember(name, value) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax${secure}`;
}

find("language").addEventListener("change", (event) => {
  remember("ocrqueue_language", event.target.value);
  location.reload();
});
find("theme").addEventListener("change", (event) => {
  remember("ocrqueue_theme", event.target.value);
  document.documentElement.dataset.theme = event.target.value;
  document.dispatchEvent(new Event("themechange"));
});
document.addEventListener("click", (event) => {
  const menu = find("settings");
  if (menu.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
});
