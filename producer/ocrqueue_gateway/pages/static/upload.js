// Files and references on their way to POST /v1/jobs.

import { post, Problem, randomKey, signIn } from "./api.js";
import { t } from "./texts.js";

/** The job that reads the file. `onShare` is told how much of it is there. */
export function sendFile(file, fields, onShare) {
  const form = new FormData();
  form.append("job", JSON.stringify(fields));
  form.append("file", file, file.name || "pasted.png");
  // fetch() does not tell how far an upload is
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/jobs");
    // should the answer be lost and the browser send it again, it is one job
    request.setRequestHeader("Idempotency-Key", randomKey());
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) onShare(event.loaded / event.total); });
    request.addEventListener("error", () => reject(new Problem({ detail: t("frame.offline"), code: "" }, 0)));
    request.addEventListener("load", () => {
      if (request.status === 202) { resolve(request.response); return; }
      if (request.status === 401) signIn();
      reject(new Problem(request.response ?? {}, request.status));
    });
    request.send(form);
  });
}

export const sendReference = (image, fields) => post("/v1/jobs", { image, ...fields }, { "idempotency-key": randomKey() });
