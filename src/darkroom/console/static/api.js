// Everything that is asked of the front door. The key goes into a header and nowhere else.

import { key } from "./session.js";

const ROUTES = {
  submit: ["POST", "/v1alpha2"],
  sign_upload: ["POST", "/v1alpha2/uploads"],
  list: ["GET", "/v1alpha2/tasks"],
  look_up: ["GET", "/v1alpha2/tasks/{task_id}"],
  cancel: ["PUT", "/v1alpha2/tasks/{task_id}/cancel"],
  follow: ["GET", "/v1alpha2/events"],
  runtimes: ["GET", "/v1alpha2/runtimes"],
  usage: ["GET", "/v1alpha2/usage"],
  list_letters: ["GET", "/v1alpha2/dead-letters"],
  redrive: ["POST", "/v1alpha2/dead-letters/redrive"],
  deliveries: ["GET", "/v1alpha2/webhooks/deliveries"],
  send_again: ["POST", "/v1alpha2/webhooks/deliveries/{delivery_id}/retry"],
};

const BASE = `${location.origin}/${document.querySelector("meta[name=darkroom-stage]").content}`;

/** The front door as clients are given it, up to and including the stage: “darkroom console” stands before another's. */
export const ENDPOINT = document.querySelector("meta[name=darkroom-endpoint]").content || BASE;

/** Where clients send requests. */
export const SUBMIT_URL = ENDPOINT + ROUTES.submit[1];

/** The front door has said no; `faults` has what is wrong where. */
export class Refused extends Error {
  constructor(status, body, retryAfter) {
    super(body.message || `The front door has answered ${status}.`);
    this.status = status;
    this.faults = body.errors || [];
    this.retryAfter = retryAfter;
  }
}

/** Nobody answers. */
export class Unreachable extends Error {}

/** Asks, and returns the response; raises `Refused` and `Unreachable`. `caller` is whose task is meant, for operators. */
export async function ask(name, { task = "", caller, query = {}, body, headers = {}, signal } = {}) {
  const [method, path] = ROUTES[name];
  const url = new URL(BASE + path.replace(/\{task_id\}|\{delivery_id\}/, encodeURIComponent(task)));
  for (const [parameter, value] of Object.entries(query)) if (value) url.searchParams.set(parameter, value);
  if (caller !== undefined) url.searchParams.set("caller", caller); // "" is nobody
  const sent = { ...headers, "x-api-key": key() ?? "" };
  if (body !== undefined) sent["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(url, {
      method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), signal,
      cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The front door cannot be reached. Is it running?");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const refused = new Refused(response.status, told, Number(response.headers.get("retry-after")) || 0);
  if (refused.status === 401) document.dispatchEvent(new CustomEvent("locked"));
  throw refused;
}

/** Asks, and returns what the answer's body says. */
export async function tell(name, options) {
  return (await ask(name, options)).json();
}

/** Reads an object of the bucket by a link to it, for a picture that is kept or a text that is shown. */
export async function readObject(link, signal) {
  let response;
  try {
    response = await fetch(link, { signal, credentials: "omit", referrerPolicy: "no-referrer" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The bucket lets this page read nothing: its operator must allow this origin there (CORS).");
  }
  if (!response.ok) throw new Unreachable(`The bucket has answered ${response.status}: the link may have run out.`);
  return response;
}

/** Sends a file to the bucket by an address that is good for this file alone; returns the link that stands for it. */
export async function upload(file) {
  const kind = /^image\/(avif|gif|jpeg|png|webp)$/.test(file.type) ? file.type : "application/octet-stream";
  const signed = await tell("sign_upload", { body: { size_bytes: file.size, content_type: kind } });
  const { "Content-Length": _length, ...headers } = signed.headers; // which the browser writes itself
  let sent;
  try {
    sent = await fetch(signed.upload_url, { method: "PUT", headers, body: file, credentials: "omit" });
  } catch {
    throw new Unreachable("The bucket takes no pictures from this page: its operator must allow this origin there (CORS).");
  }
  if (!sent.ok) throw new Unreachable(`The bucket has not taken the picture (${sent.status}).`);
  return signed.link;
}
