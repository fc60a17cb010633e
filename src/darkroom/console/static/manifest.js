// Reads what Content Credentials (C2PA) say of a picture's making. Whether they are to be believed is not looked at here.

const OURS = "io.darkroom";
const DEEPEST = 32;

/** `{prompt, negative, model, kind}` of the newest manifest, as far as it says so; null where there is none. */
export function readManifest(bytes) {
  const store = boxes(bytes).find((box) => box.kind === "jumb");
  const manifest = store && parts(store).filter((box) => box.kind === "jumb").at(-1);
  if (!manifest) return null;
  const said = {};
  for (const part of parts(manifest)) {
    const label = labelOf(part);
    if (label.startsWith("c2pa.claim")) readClaim(content(part), said);
    if (label !== "c2pa.assertions") continue;
    for (const assertion of parts(part)) {
      if (labelOf(assertion).startsWith("c2pa.actions")) readActions(content(assertion), said);
    }
  }
  return said;
}

function readClaim(claim, said) {
  const [generator] = [claim?.claim_generator_info ?? []].flat();
  said.maker = generator?.name;
  said.model = generator?.[`${OURS}.model`];
}

function readActions(assertion, said) {
  for (const { parameters } of assertion?.actions ?? []) {
    said.kind ??= parameters?.[`${OURS}.tasktype`];
    said.prompt ??= parameters?.[`${OURS}.prompt.prompt`];
    said.negative ??= parameters?.[`${OURS}.prompt.negative_prompt`];
  }
}

/** The boxes of JUMBF that stand one after the other. */
function boxes(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = view.getUint32(at) || bytes.length - at;
    if (length < 8) break; // a length of 64 bits is nobody's manifest
    found.push({ kind: new TextDecoder("latin1").decode(bytes.subarray(at + 4, at + 8)), data: bytes.subarray(at + 8, at + length) });
    at += length;
  }
  return found;
}

function parts(superbox) {
  return boxes(superbox.data).slice(1); // the first one describes it
}

function labelOf(superbox) {
  const [description] = boxes(superbox.data);
  if (description?.kind !== "jumd") return "";
  const label = description.data.subarray(17); // behind a kind and what is there
  return new TextDecoder().decode(label.subarray(0, Math.max(0, label.indexOf(0))));
}

function content(superbox) {
  const box = parts(superbox).find(({ kind }) => kind === "cbor");
  if (box === undefined) return null;
  try {
    return new Cbor(box.data).read(0);
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends too early, or goes too deep
    throw error;
  }
}

/** Reads a value of CBOR (RFC 8949), as far as manifests use it. */
class Cbor {
  #at = 0;

  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(depth) {
    if (depth > DEEPEST) throw new RangeError("too deep");
    const first = this.view.getUint8(this.#at++);
    const kind = first >> 5;
    if (kind === 7) return this.#simple(first & 31);
    const size = this.#size(first & 31);
    if (kind === 0) return size;
    if (kind === 1) return -1 - size;
    if (kind === 2) return this.#take(size);
    if (kind === 3) return new TextDecoder().decode(this.#take(size));
    if (kind === 6) return this.read(depth + 1); // a tag says what a value is for
    if (size > this.bytes.length) throw new RangeError("longer than all there is");
    if (kind === 4) return Array.from({ length: size }, () => this.read(depth + 1));
    return Object.fromEntries(Array.from({ length: size }, () => [String(this.read(depth + 1)), this.read(depth + 1)]));
  }

  #size(info) {
    if (info < 24) return info;
    const width = 2 ** (info - 24);
    const at = this.#at;
    this.#at += width;
    if (width === 1) return this.view.getUint8(at);
    if (width === 2) return this.view.getUint16(at);
    if (width === 4) return this.view.getUint32(at);
    if (width === 8) return Number(this.view.getBigUint64(at));
    throw new RangeError("of no size");
  }

  #take(size) {
    if (this.#at + size > this.bytes.length) throw new RangeError("longer than all there is");
    this.#at += size;
    return this.bytes.subarray(this.#at - size, this.#at);
  }

  #simple(info) {
    if (info === 20 || info === 21) return info === 21;
    if (info < 25) { // null, undefined, and what nobody uses
      if (info === 24) this.#at += 1;
      return null;
    }
    const width = 2 ** (info - 24);
    const at = this.#at;
    this.#at += width;
    if (width === 4) return this.view.getFloat32(at);
    if (width === 8) return this.view.getFloat64(at);
    return null;
  }
}
