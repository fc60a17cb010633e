// Follows what happens to tasks: server-sent events, read by fetch() because EventSource cannot send a key in a header.
// Comes again by itself, with the id of the last event; where a front door tells of no events, it looks every while.

import { ask, Refused } from "./api.js";

const QUIET_MS = 40_000; // the front door says something every 15 s
const LOOK_MS = 3_000;
const LOOK_IDLY_MS = 15_000; // where nothing waits or is in work
const NOTHING_THERE = [404, 501]; // a front door without events, or without records, says so
const LONGEST_PAUSE_MS = 15_000;

let isTold = true;

/** Whether the front door tells of events; false once it has said that it does not. */
export function tellsEvents() {
  return isTold;
}

/** Reads events out of a text that comes in pieces. */
export class EventReader {
  #rest = "";

  /** What is complete now: `[{id, event, data}]`; a block without data is none. */
  read(piece) {
    const blocks = (this.#rest + piece).split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map(parse).filter((event) => event.data !== "");
  }
}

function parse(block) {
  const found = { id: "", event: "message", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue; // a comment, or nothing
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") found.data += (found.data ? "\n" : "") + value;
    else if (name === "id" || name === "event") found[name] = value;
  }
  return found;
}

/**
 * Follows until `signal` aborts. `onTask(view)` and `onProgress(told)` are told what happens; `onState("live" | "polling"
 * | "lost" | "never", reason)` how the connection is; `onOpen()` that it is there again, so that nothing older is missing.
 * `onLook()` looks at the list, where a front door tells of no events, and says whether anything there goes on.
 */
export async function follow({ onTask, onProgress, onState, onOpen, onLook, signal }) {
  let last = "";
  let failures = 0;
  isTold = true;
  while (!signal.aborted) {
    try {
      await stream(last, { onTask, onProgress, onState, onOpen, signal }, (id) => { last = id; failures = 0; });
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 401) return;
      if (error instanceof Refused && NOTHING_THERE.includes(error.status)) return look({ onLook, onState, signal });
      if (error instanceof Refused && error.status === 400) last = "";
      failures += 1;
      onState("lost", error.message);
      const pause = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
      await sleep(Math.max(pause, (error.retryAfter || 0) * 1000), signal);
    }
  }
}

async function stream(last, { onTask, onProgress, onState, onOpen, signal }, seen) {
  const quiet = new AbortController();
  const stop = () => quiet.abort();
  signal.addEventListener("abort", stop, { once: true });
  let timer = setTimeout(stop, QUIET_MS);
  try {
    const response = await ask("follow", { headers: last ? { "last-event-id": last } : {}, signal: quiet.signal });
    onState("live");
    onOpen();
    const reader = new EventReader();
    const body = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await body.read();
      if (done) throw new Error("The front door has ended the connection.");
      clearTimeout(timer);
      timer = setTimeout(stop, QUIET_MS);
      for (const event of reader.read(value)) {
        const told = JSON.parse(event.data);
        if (event.event === "task") onTask(told);
        else if (event.event === "progress") onProgress(told);
        if (event.id) seen(event.id);
      }
    }
  } catch (error) {
    throw error.name === "AbortError" && !signal.aborted ? new Error("Nothing was heard for a while.") : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

async function look({ onLook, onState, signal }) {
  isTold = false;
  while (!signal.aborted) {
    let goesOn = true;
    try {
      if (!document.hidden) {
        goesOn = await onLook();
        onState("polling");
      }
    } catch (error) {
      if (signal.aborted || (error instanceof Refused && error.status === 401)) return;
      const isNever = error instanceof Refused && NOTHING_THERE.includes(error.status); // it keeps no records
      onState(isNever ? "never" : "lost", error.message);
      if (isNever) return;
    }
    await sleep(goesOn ? LOOK_MS : LOOK_IDLY_MS, signal);
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
