// What callers have used, by caller and runtime, for some days.

import { el, field } from "./dom.js";
import { tell } from "./api.js";

const DAYS = { 1: "Today", 7: "Seven days", 30: "Thirty days", 90: "Ninety days" };
const COLUMNS = ["Tasks", "Done", "Failed", "Pictures", "Device time"];

/** The section; an operator sees everybody's. */
export function usageOf(isOperator, signal) {
  const days = el("select", { name: "usage-days", onchange: look },
    Object.entries(DAYS).map(([value, words]) => el("option", { value, selected: value === "30" }, words)));
  const place = el("div", {}, el("p", {}, "Loading…"));
  look();
  return el("section", { class: "card", "aria-labelledby": "usage" }, el("div", { class: "heading" },
    el("h2", { id: "usage" }, isOperator ? "Usage by caller" : "Your usage"), field("Of", days)), place);

  async function look() {
    const from = new Date(Date.now() - (Number(days.value) - 1) * 86_400_000).toISOString().slice(0, 10);
    try {
      const { usage } = await tell("usage", { query: { from }, signal });
      place.replaceChildren(usage.length ? tableOf(sums(usage)) : el("p", {}, "No task has ended in these days."));
    } catch (error) {
      if (!signal.aborted) place.replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message));
    }
  }
}

/** Days added up, by caller and runtime; those that had the device for the longest first. */
export function sums(usage) {
  const found = new Map();
  for (const { caller, runtime, ...day } of usage) {
    const name = `${caller} ${runtime}`;
    const sum = found.get(name) ?? { caller, runtime, tasks: 0, completed: 0, failed: 0, pictures: 0, device_seconds: 0, estimated_usd: 0, isPriced: false };
    for (const of of ["tasks", "completed", "failed", "pictures", "device_seconds"]) sum[of] += day[of];
    sum.isPriced ||= day.estimated_usd !== undefined;
    sum.estimated_usd += day.estimated_usd ?? 0;
    found.set(name, sum);
  }
  return [...found.values()].sort((one, other) => other.device_seconds - one.device_seconds);
}

function tableOf(lines) {
  const isPriced = lines.some((line) => line.isPriced);
  const number = (value) => el("td", { class: "number" }, value);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Usage" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Caller"), el("th", { scope: "col" }, "Runtime"),
      [...COLUMNS, ...(isPriced ? ["About"] : [])].map((name) => el("th", { scope: "col", class: "number" }, name)))),
    el("tbody", {}, lines.map((line) => el("tr", {},
      el("th", { scope: "row", class: "name" }, line.caller || "nobody"), el("td", {}, line.runtime),
      number(String(line.tasks)), number(String(line.completed)), number(String(line.failed)), number(String(line.pictures)), number(hours(line.device_seconds)),
      isPriced ? number(line.isPriced ? `$${line.estimated_usd.toFixed(2)}` : "–") : null)))));
}

function hours(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
