// The tasks that this page knows of, and who wants to know when they change.

import { tell } from "./api.js";

const PAGE = "100";
const known = new Map();
const listeners = new Set();
let changed = new Set();
let trouble = ""; // why the last page could not be read
let older; // what an earlier page said: undefined before the first, null after the last

/** An id may have been submitted several times: each of these is a task. */
export function keyOf(task) {
  return `${task.created_at} ${task.id}`;
}

export function isOver(task) {
  return task.result !== undefined;
}

/** All of them, newest first. */
export function all() {
  return [...known.values()].sort((one, other) => (one.created_at < other.created_at ? 1 : -1));
}

/** The newest one with this id. */
export function find(id) {
  return all().find((task) => task.id === id);
}

/** Calls back with the keys of what has changed, once a frame at most. Returns what ends that. */
export function listen(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

/** Takes a task as the front door told it, unless something newer is known. */
export function take(task) {
  const name = keyOf(task);
  const before = known.get(name);
  if (before !== undefined && before.updated_at > task.updated_at) return;
  // What only a look-up tells stays known as long as it may be true.
  const kept = before !== undefined && before.status === task.status
    ? { links: before.links, position: before.position, estimated_start: before.estimated_start, progress: before.progress }
    : {};
  known.set(name, { ...kept, ...task });
  note(name);
}

/** Takes what was told of a running task's progress. */
export function takeProgress({ id, progress }) {
  const task = find(id);
  if (task === undefined || isOver(task)) return;
  known.set(keyOf(task), { ...task, status: "running", progress });
  note(keyOf(task));
}

/** Reads the newest tasks, or those before the oldest that was read; true while there are more. */
export async function load({ again = false } = {}) {
  if (older === null && !again) return false;
  let page;
  try {
    page = await tell("list", { query: { limit: PAGE, ...(again ? {} : { next: older }) } });
    trouble = "";
  } catch (error) {
    trouble = error.message;
    note("");
    throw error;
  }
  page.tasks.forEach(take);
  note("");
  if (!again || older === undefined) older = page.next ?? null;
  return older !== null;
}

/** Why the list could not be read; "" where it could. */
export function whyNone() {
  return trouble;
}

export function hasOlder() {
  return older !== null;
}

/** Looks one task up, with links to its pictures and its place in the queue. */
export async function lookUp(id) {
  const task = await tell("look_up", { task: id, query: { links: "true" } });
  take(task);
  return task;
}

/** Forgets all: the key has changed. */
export function forget() {
  known.clear();
  older = undefined;
}

function note(name) {
  if (changed.size === 0) {
    requestAnimationFrame(() => {
      const told = changed;
      changed = new Set();
      for (const listener of listeners) listener(told);
    });
  }
  changed.add(name);
}
