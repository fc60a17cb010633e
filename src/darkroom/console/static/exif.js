// Reads the texts that EXIF holds: comments in which programs write how a picture was made.

const NAMES = { 0x010e: "description", 0x010f: "make", 0x0110: "model", 0x9286: "comment" };
const MORE = 0x8769; // where the second list of tags stands
const OF_BYTES = [1, 2, 7]; // bytes, text, and what is not said
const LONG = 4;
const MOST_TAGS = 500;

/** `{description, make, model, comment}`, as far as they are there. */
export function exifTexts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts = {};
  if (bytes.length < 8) return texts;
  const isLittle = view.getUint16(0) === 0x4949;
  readTags(bytes, view, view.getUint32(4, isLittle), isLittle, texts, 0);
  return texts;
}

function readTags(bytes, view, start, isLittle, texts, depth) {
  if (start + 2 > bytes.length || depth > 1) return;
  const count = Math.min(view.getUint16(start, isLittle), MOST_TAGS);
  for (let at = start + 2; at < start + 2 + 12 * count && at + 12 <= bytes.length; at += 12) {
    const tag = view.getUint16(at, isLittle);
    const kind = view.getUint16(at + 2, isLittle);
    const length = view.getUint32(at + 4, isLittle);
    const place = kind !== LONG && length <= 4 ? at + 8 : view.getUint32(at + 8, isLittle);
    if (tag === MORE) readTags(bytes, view, place, isLittle, texts, depth + 1);
    else if (tag in NAMES && OF_BYTES.includes(kind)) {
      const data = bytes.subarray(place, place + length);
      texts[NAMES[tag]] ??= (NAMES[tag] === "comment" ? commentOf(data) : decoded(data, "utf-8")).replace(/\0+$/, "");
    }
  }
}

function decoded(data, encoding) {
  return new TextDecoder(encoding).decode(data);
}

/** A comment begins with the name of its encoding. Programs do not agree on the order of UTF-16's bytes. */
function commentOf(data) {
  const text = data.subarray(8);
  if (decoded(data.subarray(0, 7), "latin1") !== "UNICODE") return decoded(text, "utf-8");
  let even = 0;
  let odd = 0;
  for (let at = 0; at + 1 < text.length; at += 2) {
    even += text[at] === 0;
    odd += text[at + 1] === 0;
  }
  return decoded(text, even >= odd ? "utf-16be" : "utf-16le");
}
