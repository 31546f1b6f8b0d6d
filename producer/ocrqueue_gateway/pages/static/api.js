// The native API, asked with the session's cookie.

import { t } from "./texts.js";

/** An answer that is a problem (RFC 9457), or none at all. */
export class Problem extends Error {
  constructor(told, status = told.status) {
    super(told.detail ?? told.title ?? `HTTP ${status}`);
    Object.assign(this, { status, code: told.code, detail: told.detail, remedy: told.remedy, retryable: told.retryable });
  }
}

async function problemOf(response) {
  let told = {};
  try {
    told = await response.json();
  } catch {
    // of a proxy
  }
  return new Problem(told, response.status);
}

/** Once somebody signs out: an answer that the key is missing would lead elsewhere than the sign-out does. */
const leaving = new AbortController();
document.addEventListener("submit", (event) => {
  if (event.target.getAttribute("action") === "/sign-out") leaving.abort();
});
// by the browser's button for the page before
addEventListener("pageshow", (event) => {
  if (event.persisted && leaving.signal.aborted) location.reload();
});

/** The response, if it is none of a problem; who is not signed in any more is led to the sign-in. Never ends while the
 * page is left. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", signal: leaving.signal, ...options });
  } catch (error) {
    if (leaving.signal.aborted) return new Promise(() => {});
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: t("frame.offline"), code: "", retryable: true }, 0);
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) signIn();
  throw problem;
}

export const json = async (path, options) => (await ask(path, options)).json();

/** `value` as JSON. */
export const post = (path, value, headers = {}) => json(path, {
  method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value),
});

export function signIn() {
  if (leaving.signal.aborted) return;
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** For Idempotency-Key: also where the page did not come by TLS. */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
