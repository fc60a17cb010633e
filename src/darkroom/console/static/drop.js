// A place to drop a picture on, or to choose one; it can be pasted too.

import { announce, el } from "./dom.js";

const INLINE_BYTES = 1_500_000; // larger ones go to the bucket first: a request holds 6 MB
const MOST_BYTES = 64 * 1024 * 1024;

/** The place, which begins with `picture` (or null) and tells of each other one: `{link}`, `{data}` or `{file}`. */
export function dropZone(picture, onPicture) {
  const words = el("span", {}, "Drop a picture here, or choose one.");
  const trouble = el("span", { class: "fault", role: "alert" });
  const image = el("img", { alt: "", hidden: true });
  const input = el("input", { type: "file", accept: "image/*", "aria-label": "The picture to begin with", onchange: () => use(input.files[0]) });
  const zone = el("div", { class: "drop", ondragover: over, ondragleave: leave, ondrop: drop, onpaste: paste },
    image, words, input, trouble);
  if (picture?.file) show(picture.file);
  else if (picture) words.textContent = `Begins with ${picture.link ?? "the picture"}. Drop another one here, or choose one.`;
  return { element: el("div", { class: "field" }, zone) };

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
    if (!file.type.startsWith("image/")) {
      trouble.textContent = `${file.name} is no picture.`;
      return;
    }
    if (file.size > MOST_BYTES) {
      trouble.textContent = `${file.name} is larger than 64 MB.`;
      return;
    }
    trouble.textContent = "";
    show(file);
    announce(`${file.name} is chosen`);
    onPicture(file.size > INLINE_BYTES ? { file } : { file, data: await dataOf(file) });
  }

  function show(file) {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(file);
    image.hidden = false;
    words.textContent = `${file.name}. Drop another one here, or choose one.`;
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
