// The tasks that this page knows of, newest first, and who wants to know when they change. Ten thousand cost little:
// the order is kept, not made anew, and a task is found by its id without looking through the others.

import { tell } from "./api.js";

const PAGE = "100";
const known = new Map(); // by their keys
const newest = new Map(); // of each caller's id, the key of the newest
const order = []; // keys, newest first
const keys = new WeakMap(); // of tasks, so that they are not made anew for each look at a long list
const listeners = new Set();
let changed = new Set();
let trouble = ""; // why the last page could not be read
let older; // what an earlier page said: undefined before the first, null after the last

/** An id may have been submitted several times, and by several callers: each of these is a task. */
export function keyOf(task) {
  let key = keys.get(task);
  if (key === undefined) keys.set(task, key = `${task.created_at} ${task.id} ${task.caller ?? ""}`);
  return key;
}

export function isOver(task) {
  return task.result !== undefined;
}

/** All of them, newest first. */
export function all() {
  return order.map((key) => known.get(key));
}

/** The newest one with this id; an operator says whose is meant, where it is known. */
export function find(id, caller) {
  if (caller !== undefined) return known.get(newest.get(nameOf(id, caller)));
  const own = known.get(newest.get(nameOf(id)));
  return own ?? all().find((task) => task.id === id);
}

/** Calls back with the keys of what has changed, once a frame at most. Returns what ends that. */
export function listen(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

/** Takes a task as the front door told it, unless something newer is known. */
export function take(task) {
  const key = keyOf(task);
  const before = known.get(key);
  if (before !== undefined && before.updated_at > task.updated_at) return;
  // What only a look-up tells stays known as long as it may be true.
  const kept = before !== undefined && before.status === task.status
    ? { links: before.links, position: before.position, estimated_start: before.estimated_start, progress: before.progress }
    : {};
  known.set(key, { ...kept, ...task });
  if (before === undefined) putInOrder(key, task);
  note(key);
}

/** Takes what was told of a running task's progress. */
export function takeProgress({ id, caller, progress }) {
  const task = find(id, caller);
  if (task === undefined || isOver(task)) return;
  known.set(keyOf(task), { ...task, status: "running", progress });
  note(keyOf(task));
}

/** Reads the newest tasks, or those before the oldest that was read; true while there are more. */
export async function load({ again = false } = {}) {
  if (older === null && !again) return false;
  const page = await read(again ? {} : { next: older });
  if (!again || older === undefined) older = page.next ?? null;
  return older !== null;
}

/** Reads what a filter lets through, page by page: `{status, runtime, since, caller}` as the list takes them. */
export function pagesOf(filter) {
  const own = { next: undefined, isBusy: false };
  return {
    get hasMore() { return own.next !== null; },
    get isBusy() { return own.isBusy; },
    async more() {
      if (own.next === null || own.isBusy) return;
      own.isBusy = true;
      try {
        own.next = (await read({ ...filter, next: own.next })).next ?? null;
      } finally {
        own.isBusy = false;
      }
    },
  };
}

let isBusy = false;

/** The same of all tasks: their first page is read when the connection is made, and not once more for each look. */
export const ALL_PAGES = {
  get hasMore() { return older !== null; },
  get isBusy() { return isBusy || older === undefined; },
  async more() {
    if (isBusy) return;
    isBusy = true;
    try {
      await load();
    } finally {
      isBusy = false;
    }
  },
};

/** Why the list could not be read; "" where it could. */
export function whyNone() {
  return trouble;
}

export function hasOlder() {
  return older !== null;
}

/** Looks one task up, with links to its pictures and its place in the queue; `wait` is for how long, at most. */
export async function lookUp(id, caller, { wait, signal } = {}) {
  const task = await tell("look_up", { task: id, query: { links: "true", wait }, caller, signal });
  take(task);
  return task;
}

/** Forgets all: the key has changed. */
export function forget() {
  known.clear();
  newest.clear();
  order.length = 0;
  older = undefined;
}

async function read(query) {
  let page;
  try {
    page = await tell("list", { query: { limit: PAGE, ...query } });
    trouble = "";
  } catch (error) {
    trouble = error.message;
    note("");
    throw error;
  }
  page.tasks.forEach(take);
  note("");
  return page;
}

function nameOf(id, caller = "") {
  return `${caller} ${id}`;
}

function putInOrder(key, task) {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order[middle] > key) low = middle + 1; // a key begins with its time
    else high = middle;
  }
  order.splice(low, 0, key);
  const name = nameOf(task.id, task.caller);
  if (!newest.has(name) || newest.get(name) < key) newest.set(name, key);
}

function note(key) {
  if (changed.size === 0) {
    requestAnimationFrame(() => {
      const told = changed;
      changed = new Set();
      for (const listener of listeners) listener(told);
    });
  }
  changed.add(key);
}
