// Says on the page that a part of it did not load: the modules, which tell all else, cannot.
"use strict";
addEventListener("error", (event) => {
  if (event.target instanceof HTMLScriptElement || event.target instanceof HTMLLinkElement) document.documentElement.dataset.broken = "";
}, true);
