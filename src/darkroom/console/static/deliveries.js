// What became of the webhooks of a task.

import { announce, clock, el } from "./dom.js";
import { tell } from "./api.js";

const STATES = { pending: "On its way", delivered: "Delivered", failed: "Failed", gone: "The receiver wants no more" };
const LOOKED_AT = "100";
const AGAIN_MS = [2_000, 5_000, 15_000, 60_000]; // while one is on its way, or may be
const JUST_MS = 60_000;

/** A card that shows itself where there are any. */
export function deliveries(task, signal) {
  const list = el("ul", { class: "plain" });
  const card = el("section", { class: "card", "aria-label": "Webhooks", hidden: true }, el("h2", {}, "Webhooks"), list);
  let looks = 0;
  look();
  return card;

  async function look() {
    let found;
    try {
      found = (await tell("deliveries", { query: { limit: LOOKED_AT }, signal })).deliveries;
    } catch {
      return; // a deployment that sends none says so
    }
    const mine = found.filter((delivery) => delivery.task_id === task.id && delivery.created_at >= task.created_at);
    card.hidden = mine.length === 0;
    list.replaceChildren(...mine.map(item));
    const isJust = Date.now() - new Date(task.ended_at ?? task.updated_at) < JUST_MS;
    if (mine.some((delivery) => delivery.status === "pending") || (mine.length === 0 && isJust)) lookLater();
  }

  function lookLater() {
    if (looks === AGAIN_MS.length) return;
    const timer = setTimeout(look, AGAIN_MS[looks++]);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  function item(delivery) {
    const status = delivery.status === "delivered" ? "completed" : delivery.status === "pending" ? "running" : "failed";
    return el("li", {},
      el("p", {}, el("span", { class: `status ${status}` }, STATES[delivery.status] ?? delivery.status), ` · ${delivery.event} · `, clock(delivery.updated_at)),
      el("p", { class: "facts" }, delivery.url),
      delivery.last_error ? el("p", { class: "facts" }, delivery.last_error) : null,
      el("p", { class: "facts" }, `${delivery.attempts} ${delivery.attempts === 1 ? "try" : "tries"}`,
        delivery.next_try_at ? [", next at ", clock(delivery.next_try_at)] : ""),
      delivery.status === "pending" ? null : el("button", { type: "button", onclick: (event) => again(event.target, delivery) }, "Send again"));
  }

  async function again(button, delivery) {
    button.disabled = true;
    try {
      await tell("send_again", { task: delivery.id });
      announce("It is sent again");
      looks = 0;
      await look();
    } catch (error) {
      button.after(el("p", { class: "fault", role: "alert" }, error.message));
      button.disabled = false;
    }
  }
}
