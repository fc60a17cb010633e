// A task's pictures: each larger, saved, used again, and two of them compared, of one task or of several.

import { announce, el } from "./dom.js";
import { readObject } from "./api.js";
import { titleOf } from "./request.js";

let chosen = null; // the first of two that are to be compared: { link, title }

/** The pictures of a task that is done; null before that. */
export function pictures(task) {
  if (task.status !== "completed") return null;
  const links = task.links?.image_url ?? [];
  const total = task.image_url?.length || task.image_url_omitted || 0;
  if (!total) return el("p", { class: "notice" }, "It has made no picture.");
  const shown = links.map((link, index) => ({
    link, index, title: links.length > 1 ? `${titleOf(task)}, ${index + 1} of ${total}` : titleOf(task), stored: task.image_url?.[index],
  }));
  const compared = el("p", { class: "notice compared", role: "status", hidden: true });
  tellChosen(compared);
  return el("div", {}, compared,
    el("div", { class: `pictures${links.length === 1 ? " single" : ""}` },
      shown.map((picture) => figure(task, picture, shown, compared))),
    links.length < total ? el("p", { class: "hint" }, `${links.length} of ${total} pictures are shown.`) : null);
}

function figure(task, picture, all, compared) {
  const use = (kind) => `#/make?${new URLSearchParams({ kind, runtime: task.runtime, picture: picture.stored })}`;
  const missing = (event) => event.target.closest("button").replaceWith(
    el("p", { class: "notice bad" }, "This picture cannot be loaded: it may have been removed, or its link has run out."));
  const larger = () => showLarge(all, picture.index);
  return el("figure", {},
    el("button", { type: "button", class: "picture", onclick: larger, "aria-label": `Larger: ${picture.title}` },
      el("img", { src: picture.link, alt: picture.title, decoding: "async", onerror: missing })),
    el("figcaption", { class: "actions" },
      el("button", { type: "button", onclick: (event) => save(event.target, picture, task) }, "Download"),
      el("button", { type: "button", onclick: () => compare(picture, compared) }, "Compare"),
      picture.stored ? el("a", { class: "button", href: use("image-to-image") }, "Edit") : null,
      picture.stored ? el("a", { class: "button", href: use("extra-single-image") }, "Enlarge") : null));
}

async function save(button, picture, task) {
  const words = button.textContent;
  button.disabled = true;
  try {
    const url = URL.createObjectURL(await (await readObject(picture.link)).blob());
    const name = picture.stored?.split("/").pop() ?? `${task.id}-${picture.index + 1}`;
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    announce(`${name} is saved`);
  } catch {
    window.open(picture.link, "_blank", "noreferrer"); // it can be saved from there
  }
  button.disabled = false;
  button.textContent = words;
}

function compare(picture, compared) {
  if (chosen === null || chosen.link === picture.link) {
    chosen = chosen === null ? picture : null;
    announce(chosen ? "Choose the second picture" : "Not compared");
    return tellChosen(compared);
  }
  const first = chosen;
  chosen = null;
  tellChosen(compared);
  return showBoth(first, picture);
}

function tellChosen(compared) {
  compared.hidden = chosen === null;
  if (chosen !== null) {
    const drop = () => { chosen = null; tellChosen(compared); };
    compared.replaceChildren(`To be compared: “${chosen.title}”. Choose Compare at the second one, here or in another task. `,
      el("button", { type: "button", class: "quiet", onclick: drop }, "Do not compare"));
  }
}

function showLarge(all, first) {
  let index = first;
  const image = el("img", { alt: "" });
  const words = el("p", { class: "words", role: "status" });
  const frame = el("div", { class: "frame", tabindex: "0", role: "group", "aria-label": "The picture", onclick: () => size() }, image);
  const fit = el("button", { type: "button", "aria-pressed": "false", onclick: () => size() }, "Full size");
  const step = (by) => () => turn(index + by);
  const box = dialogue("Picture", [frame, words], [
    all.length > 1 ? el("button", { type: "button", onclick: step(-1) }, "Previous") : null,
    all.length > 1 ? el("button", { type: "button", onclick: step(1) }, "Next") : null, fit,
  ]);
  box.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && all.length > 1 && !frame.classList.contains("full")) turn(index + by);
  });
  turn(index);
  frame.focus();

  function turn(to) {
    index = (to + all.length) % all.length;
    image.src = all[index].link;
    image.alt = words.textContent = all[index].title;
  }

  function size() {
    const isFull = frame.classList.toggle("full");
    fit.setAttribute("aria-pressed", String(isFull));
  }
}

function showBoth(one, other) {
  const [left, right] = [one, other].map((picture) => el("img", { src: picture.link, alt: picture.title }));
  const both = el("div", { class: "both beside" }, left, right);
  const share = el("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "How much of the first picture is shown", oninput: cut });
  const slider = el("div", { class: "share", hidden: true }, share);
  const over = el("button", { type: "button", "aria-pressed": "false", onclick: lay }, "One over the other");
  dialogue("Compare", [both, slider, el("p", { class: "words" }, `${one.title} — ${other.title}`)], [over]);
  over.focus();

  function lay() {
    const isOver = both.classList.toggle("over");
    both.classList.toggle("beside", !isOver);
    slider.hidden = !isOver;
    over.setAttribute("aria-pressed", String(isOver));
    cut();
  }

  function cut() {
    right.style.clipPath = both.classList.contains("over") ? `inset(0 0 0 ${share.value}%)` : "";
  }
}

function dialogue(name, content, buttons) {
  const close = el("button", { type: "button", onclick: () => box.close() }, "Close");
  const box = el("dialog", { class: "large", "aria-label": name }, content, el("div", { class: "actions" }, buttons, close));
  box.addEventListener("close", () => box.remove());
  addEventListener("hashchange", () => box.close(), { once: true });
  document.body.append(box);
  box.showModal();
  return box;
}
