// Pictures: links to them are good for an hour, cost a request, and are asked for when they come into sight.

import { Unreachable } from "./api.js";
import { el } from "./dom.js";
import { titleOf } from "./request.js";
import { keyOf, lookUp } from "./tasks.js";

const AT_ONCE = 3;
const AGAIN_MS = 5_000;
const found = new Map();
const waiting = [];
let asking = 0;

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    waiting.push(target);
  }
  next();
}, { rootMargin: "200px" });

/** A small picture of what came of a task; an empty place where there is none (yet). */
export function thumbnail(task) {
  const count = task.image_url?.length || task.image_url_omitted || 0;
  if (task.status !== "completed" || count === 0) return el("div", { class: "thumbnail", "aria-hidden": "true" });
  const image = el("img", { class: "thumbnail", alt: titleOf(task), decoding: "async" });
  image.task = task;
  const links = found.get(keyOf(task));
  if (links && fresh(links)) image.src = links.image_url[0];
  else sight.observe(image);
  return image;
}

/** Remembers links that were told. */
export function remember(task) {
  if (task.links) found.set(keyOf(task), task.links);
}

/** Whether links can still be opened for a minute. */
export function fresh(links) {
  return new Date(links.expires_at) - Date.now() > 60_000;
}

function next() {
  while (asking < AT_ONCE && waiting.length) {
    const image = waiting.shift();
    if (!image.isConnected) continue;
    asking += 1;
    lookUp(image.task.id, image.task.caller)
      .then((task) => {
        remember(task);
        if (keyOf(task) === keyOf(image.task) && task.links) image.src = task.links.image_url[0];
      })
      .catch((error) => {
        // The front door may be away for a moment; of what it refuses, the task's page says why.
        if (error instanceof Unreachable) setTimeout(() => sight.observe(image), AGAIN_MS);
      })
      .finally(() => { asking -= 1; next(); });
  }
}
