// Who has followed a link from elsewhere is signed in already: the browser keeps the session's cookie back from such a
// visit, and not from one that this page makes.

import { find } from "./elements.js";

const back = find("back");
if (back) {
  location.replace(back.href);
} else if (!document.querySelector(".problem")) {
  const response = await fetch(location.href, { credentials: "same-origin" });
  if ((await response.text()).includes("data-signed-in")) {
    location.replace(document.querySelector("input[name=next]").value);
  }
}
find("key").focus();
