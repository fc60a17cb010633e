// A place to drop a file on, to choose one, or to paste one.

import { announce, el } from "./dom.js";

const MOST_BYTES = 64 * 1024 * 1024;

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

  function use(file) {
    if (file === undefined) return;
    const isWorkflow = file.type === "application/json" || file.name.endsWith(".json");
    if (!isWorkflow && !file.type.startsWith("image/")) trouble.textContent = `${file.name} is no picture, and no workflow.`;
    else if (file.size > MOST_BYTES) trouble.textContent = `${file.name} is larger than 64 MB.`;
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

/** A picture as it can stand in a request. */
export function dataOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
