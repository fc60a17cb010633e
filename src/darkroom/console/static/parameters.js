// How a picture was made, by its own word: what SD Web UI, ComfyUI and Darkroom write into the file of one.

import { exifTexts } from "./exif.js";
import { defined, readInfotext } from "./infotext.js";
import { readManifest } from "./manifest.js";
import { findSlots, readWorkflow, valuesOfWorkflow } from "./workflow.js";
import { writingsOf } from "./writings.js";

const LARGEST = 64 * 1024 * 1024;

/**
 * What the file of a picture says: `{source, values, workflow}`, with the form's names, and where it holds one, the
 * workflow; null where it says nothing.
 */
export async function parametersOf(file) {
  if (file.size > LARGEST) return null;
  const { texts, exif, manifest } = await writingsOf(new Uint8Array(await file.arrayBuffer()));
  const more = exif === null ? {} : exifTexts(exif);
  return fromInfotext(texts.parameters ?? more.comment ?? texts.comment)
    ?? fromWorkflow(texts.prompt ?? workflowIn([more.model, more.make, more.description, more.comment]))
    ?? (manifest === null ? null : fromManifest(manifest));
}

function fromInfotext(text) {
  const values = text === undefined ? null : readInfotext(text);
  return values && { source: "what SD Web UI has written into the file", values, workflow: null };
}

function fromWorkflow(text) {
  if (text === undefined) return null;
  try {
    const workflow = readWorkflow(text);
    return { source: "the workflow that ComfyUI has written into the file", values: defined(valuesOfWorkflow(workflow, findSlots(workflow))), workflow };
  } catch {
    return null;
  }
}

/** ComfyUI writes `prompt:{…}` into EXIF, where a file has no place for names. */
function workflowIn(texts) {
  return texts.find((text) => text?.startsWith("prompt:"))?.slice("prompt:".length);
}

function fromManifest(bytes) {
  const { prompt, negative, model } = readManifest(bytes) ?? {};
  const values = defined({ prompt, negative, model });
  return Object.keys(values).length ? { source: "its Content Credentials, whose signature is not checked here", values, workflow: null } : null;
}
