// What programs have written into the file of a picture: texts, EXIF, C2PA. Read where it stands, and taken for nothing.

const MOST_CHARACTERS = 2_000_000; // no program writes as much; a file may hold anything
const MOST_BYTES = 4 * MOST_CHARACTERS;
const utf8 = new TextDecoder();
const latin1 = new TextDecoder("latin1");

/** `{texts: {name: text}, exif, manifest}` of a PNG, JPEG or WebP, as far as it has them: bytes, or null. */
export async function writingsOf(bytes) {
  const found = { texts: {}, exif: null, manifest: null };
  if (word(bytes, 1, 3) === "PNG") await readPng(bytes, found);
  else if (bytes[0] === 0xff && bytes[1] === 0xd8) readJpeg(bytes, found);
  else if (word(bytes, 0, 4) === "RIFF" && word(bytes, 8, 4) === "WEBP") readWebp(bytes, found);
  return found;
}

function word(bytes, start, length) {
  return latin1.decode(bytes.subarray(start, start + length));
}

function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

async function readPng(bytes, found) {
  const view = viewOf(bytes);
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const data = bytes.subarray(at + 8, at + 8 + length);
    const kind = word(bytes, at + 4, 4);
    if (kind === "eXIf") found.exif = data;
    else if (kind === "caBX") found.manifest = data;
    else if (["tEXt", "zTXt", "iTXt"].includes(kind)) await readText(kind, data, found.texts);
    at += 12 + length;
  }
}

async function readText(kind, data, texts) {
  const end = data.indexOf(0);
  if (end < 1) return;
  const name = word(data, 0, end);
  let rest = data.subarray(end + 1);
  let isPacked = kind === "zTXt";
  if (kind === "iTXt") {
    isPacked = rest[0] === 1;
    const language = rest.indexOf(0, 2);
    const translated = rest.indexOf(0, language + 1);
    if (language < 0 || translated < 0) return;
    rest = rest.subarray(translated + 1);
  } else if (isPacked) rest = rest.subarray(1);
  if (isPacked) rest = await unpacked(rest);
  if (rest !== null && !(name in texts)) texts[name] = (kind === "iTXt" ? utf8 : latin1).decode(rest).slice(0, MOST_CHARACTERS);
}

/** What zlib has packed; null where it is damaged, or more than anybody writes. */
async function unpacked(data) {
  const pieces = [];
  let length = 0;
  try {
    const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > MOST_BYTES) {
        await reader.cancel();
        return null;
      }
      pieces.push(value);
    }
  } catch {
    return null;
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function readJpeg(bytes, found) {
  const view = viewOf(bytes);
  const parts = new Map();
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    const length = view.getUint16(at + 2);
    if (marker === 0xda || length < 2) break; // the picture itself
    const data = bytes.subarray(at + 4, at + 2 + length);
    if (marker === 0xe1 && word(data, 0, 6) === "Exif\0\0") found.exif = data.subarray(6);
    else if (marker === 0xfe) found.texts.comment ??= utf8.decode(data);
    else if (marker === 0xeb && word(data, 0, 2) === "JP" && data.length > 16) {
      // A box is told in pieces: which box, which piece, and the box's own beginning in each of them.
      const box = viewOf(data).getUint16(2);
      const piece = viewOf(data).getUint32(4);
      if (!parts.has(box)) parts.set(box, []);
      parts.get(box).push([piece, data.subarray(parts.get(box).length ? 16 : 8)]);
    }
    at += 2 + length;
  }
  for (const pieces of parts.values()) {
    const box = joined(pieces.sort(([one], [other]) => one - other).map(([, data]) => data));
    if (word(box, 4, 4) === "jumb") found.manifest ??= box;
  }
}

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function readWebp(bytes, found) {
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const data = bytes.subarray(at + 8, at + 8 + length);
    const kind = word(bytes, at, 4);
    if (kind === "EXIF") found.exif = word(data, 0, 6) === "Exif\0\0" ? data.subarray(6) : data;
    else if (kind === "C2PA") found.manifest = data;
    at += 8 + length + (length % 2);
  }
}
