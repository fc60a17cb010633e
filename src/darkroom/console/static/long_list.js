// A list of any length, of which only the rows in sight are in the page. Arrow keys move through all of it.

import { el } from "./dom.js";
import { cancel, formOf, replace, row } from "./rows.js";
import { isOver, keyOf } from "./tasks.js";

const ROW_REM = 6;
const BEYOND = 8; // rows above and below what is in sight, so that scrolling shows no gap
const SETTLED_MS = 120;

/** A list; `onNearEnd()` is called when its last rows come into sight. It works until `signal` aborts. */
export function longList(label, onNearEnd, signal) {
  const list = el("ul", { class: "rows long", "aria-label": label, onkeydown: move, onfocusin: remember });
  const shown = new Map();
  let tasks = [];
  let places = new Map(); // of the tasks' keys
  let current = ""; // the key of the row that is reached by Tab
  let height = 0;
  let isDue = false;
  let settled;

  addEventListener("scroll", soon, { signal, passive: true });
  addEventListener("resize", () => { measure(); soon(); }, { signal, passive: true });
  signal.addEventListener("abort", () => clearTimeout(settled));
  return { element: list, show, reach: (key) => { if (places.has(key)) reach(places.get(key)); }, reached: () => current };

  function show(wanted) {
    const top = list.getBoundingClientRect().top;
    const first = top < 0 && height > 0 ? Math.floor(-top / height) : -1;
    const seen = first in tasks ? keyOf(tasks[first]) : "";
    tasks = wanted;
    places = new Map(tasks.map((task, index) => [keyOf(task), index]));
    measure();
    // Who reads further down is not moved by what comes above.
    const moved = places.has(seen) ? places.get(seen) - first : 0;
    if (moved !== 0) scrollBy({ top: moved * height, behavior: "instant" });
    draw();
    settle();
  }

  function measure() {
    height = ROW_REM * parseFloat(getComputedStyle(document.documentElement).fontSize);
    list.style.height = `${tasks.length * height}px`;
  }

  function soon() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
    settle();
  }

  function settle() {
    clearTimeout(settled);
    settled = setTimeout(() => {
      for (const child of shown.values()) {
        child.showPicture();
        child.showPicture = () => {};
      }
    }, SETTLED_MS);
  }

  function draw() {
    if (signal.aborted) return;
    const top = list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - BEYOND);
    const last = Math.min(tasks.length, Math.ceil((innerHeight - top) / height) + BEYOND);
    const focused = list.contains(document.activeElement) ? current : null;
    const wanted = [];
    if (focused !== null) {
      const at = indexOf(focused);
      if (at >= 0 && (at < first || at >= last)) wanted.push(at);
    }
    for (let index = first; index < last; index += 1) wanted.push(index);
    wanted.sort((one, other) => one - other);
    if (!places.has(current)) current = wanted.length ? keyOf(tasks[wanted[0]]) : "";
    const keys = new Set(wanted.map((index) => keyOf(tasks[index])));
    for (const [key, child] of shown) {
      if (keys.has(key)) continue;
      child.remove();
      shown.delete(key);
    }
    wanted.forEach((index, place) => {
      const child = drawn(tasks[index]);
      child.style.transform = `translateY(${index * height}px)`;
      child.setAttribute("aria-posinset", index + 1);
      child.setAttribute("aria-setsize", tasks.length);
      if (list.children[place] !== child) list.insertBefore(child, list.children[place] ?? null);
    });
    if (last > tasks.length - BEYOND) onNearEnd();
  }

  function drawn(task) {
    const key = keyOf(task);
    const form = formOf(task);
    const before = shown.get(key);
    if (before?.form === form) return reached(before, key);
    const fresh = row(task, { isLate: true });
    fresh.form = form;
    fresh.task = task;
    if (before !== undefined) {
      const picture = before.querySelector("img.thumbnail");
      replace(before, fresh);
      if (picture && before.task.status === task.status) {
        fresh.querySelector(".thumbnail").replaceWith(picture); // it does not flicker
        fresh.showPicture = () => {};
      }
    }
    shown.set(key, fresh);
    return reached(fresh, key);
  }

  function reached(child, key) {
    for (const part of child.querySelectorAll("a, button")) part.tabIndex = key === current ? 0 : -1;
    return child;
  }

  function indexOf(key) {
    return places.get(key) ?? -1;
  }

  function remember(event) {
    const key = event.target.closest("li")?.dataset.key;
    if (key === undefined || key === current) return;
    const before = shown.get(current);
    current = key;
    for (const child of [before, shown.get(key)]) if (child) reached(child, child.dataset.key);
  }

  function move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = indexOf(current);
    const page = Math.max(1, Math.floor(innerHeight / height) - 1);
    const to = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: tasks.length - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      reach(Math.min(tasks.length - 1, Math.max(0, to)));
    } else if (event.key === "Delete" && at >= 0 && !isOver(tasks[at])) cancel(tasks[at]);
  }

  function reach(index) {
    const before = shown.get(current);
    current = keyOf(tasks[index]);
    if (before) reached(before, before.dataset.key);
    const top = list.getBoundingClientRect().top + index * height;
    if (top < 0) scrollBy({ top: top - height, behavior: "instant" });
    else if (top + 2 * height > innerHeight) scrollBy({ top: top + 2 * height - innerHeight, behavior: "instant" });
    draw();
    shown.get(current).querySelector("a").focus({ preventScroll: true });
    settle();
  }
}
