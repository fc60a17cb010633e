// A place to drop a file on, to choose one, or to paste one.

import { announce, el } from "./dom.js";

const MOST_BYTES = 32 * 1024 * 1024; // as the front door has it, and agents fetch
// How files begin that runtimes read: PNG, JPEG, GIF, BMP, TIFF of either byte order, and WebP and AVIF behind a size.
const BEGINNINGS = [
  /^\x89PNG\r\n\x1a\n/, /^\xff\xd8\xff/, /^GIF8/, /^BM/, /^II\*\0/, /^MM\0\*/, /^RIFF[^]{4}WEBP/, /^[^]{4}ftyp(avif|avis|mif1)/,
];

/** The place, which shows `picture` (or null) and these words, and tells of each file of a kind that it takes. */
export function dropZone({ picture, words, onFile }) {
  const told = el("span", { class: "drop-words" }, words);
  const trouble = el("span", { class: "fault", role: "alert" });
  const image = el("img", { alt: "", hidden: true });
  const input = el("input", {
    id: "field-file", type: "file", class: "hidden", accept: "image/*,.json,application/json", onchange: () => use(input.files[0]),
  });
  const zone = el("div", { class: "drop", ondragover: over, ondragleave: leave, ondrop: drop, onpaste: paste },
    image, el("span", {}, told, el("span", { class: "drop-choose" }, input, el("label", { for: "field-file", class: "link" }, "Choose a file"))), trouble);
  if (picture?.file) show(picture.file);
  else if (picture) told.textContent = `Begins with ${picture.link ?? "the picture"}`;
  return { element: zone, say: (text) => { trouble.textContent = text; } };

  function over(event) {
    event.preventDefault();
    zone.classList.add("over");
  }

  function leave() {
    zone.classList.remove("over");
  }

  function drop(event) {
    event.preventDefault();
    leave();
    use(event.dataTransfer.files[0]);
  }

  function paste(event) {
    if (event.clipboardData.files.length) use(event.clipboardData.files[0]);
  }

  async function use(file) {
    if (file === undefined) return;
    const isWorkflow = file.type === "application/json" || file.name.endsWith(".json");
    if (!isWorkflow && !file.type.startsWith("image/")) trouble.textContent = `${file.name} is no picture, and no workflow.`;
    else if (file.size > MOST_BYTES) trouble.textContent = `${file.name} is larger than ${MOST_BYTES / 2 ** 20} MiB, the most that is taken.`;
    else if (!isWorkflow && !(await isRead(file))) trouble.textContent = `${file.name} is no picture that runtimes read: choose a PNG, JPEG, WebP, GIF, BMP or TIFF.`;
    else {
      trouble.textContent = "";
      if (!isWorkflow) show(file);
      announce(`${file.name} is chosen`);
      onFile(file, isWorkflow);
    }
    input.value = "";
  }

  function show(file) {
    image.src = URL.createObjectURL(file);
    image.onload = image.onerror = () => URL.revokeObjectURL(image.src); // it is shown, or never will be
    image.hidden = false;
    told.textContent = file.name;
  }
}

async function isRead(file) {
  const beginning = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  return BEGINNINGS.some((one) => one.test(beginning));
}

/** A picture as it can stand in a request. */
export function dataOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
