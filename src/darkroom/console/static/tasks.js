// The tasks that this page knows of, and who wants to know when they change.

import { tell } from "./api.js";

const PAGE = "50";
const known = new Map();
const listeners = new Set();
let changed = new Set();
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

/** Reads the newest tasks, or those before the oldest that is known; true while there are more. */
export async function load({ again = false, query = {} } = {}) {
  if (older === null && !again) return false;
  const page = await tell("list", { query: { limit: PAGE, ...query, ...(again ? {} : { next: older }) } });
  page.tasks.forEach(take);
  if (!again || older === undefined) older = page.next ?? null;
  return older !== null;
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
