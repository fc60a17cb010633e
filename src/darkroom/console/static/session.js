// The API key: in this tab's session only. It comes out of a form, or out of the address after "#", which a browser
// sends to no server; from there it is removed before anything else happens.

import { decoded } from "./dom.js";

const NAME = "darkroom.key";
const DRAFT = "darkroom.draft";

/** Takes a key out of the address, if there is one, and the address out of the tab's history. */
export function takeKeyFromAddress() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (found === null) return;
  history.replaceState(null, "", location.pathname);
  setKey(decoded(found[1]));
}

export function key() {
  return sessionStorage.getItem(NAME);
}

export function setKey(value) {
  sessionStorage.setItem(NAME, value);
}

/** What the form held when a page was left, for the next one of this tab: whose key that has. */
export function keepDraft(text) {
  if (sessionStorage.getItem(NAME) !== null) sessionStorage.setItem(DRAFT, text);
}

export function keptDraft() {
  return sessionStorage.getItem(DRAFT);
}

export function forgetKey() {
  sessionStorage.removeItem(NAME);
  sessionStorage.removeItem(DRAFT);
}
