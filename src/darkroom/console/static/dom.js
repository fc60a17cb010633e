// Makes elements. Text stays text: nothing that a person or a server has written becomes markup.

/** An element with attributes (`on…` are listeners, true and false are there or not) and children. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Says something to who listens to the page instead of looking at it. */
export function announce(text) {
  document.getElementById("told").textContent = text;
}

/** A label with its input, a hint, and room for what is wrong with it. */
export function field(label, input, hint = "") {
  const id = input.id || `field-${input.name}`;
  input.id = id;
  const about = el("p", { class: "hint", id: `${id}-hint` }, hint);
  const fault = el("p", { class: "fault", id: `${id}-fault`, hidden: true });
  input.setAttribute("aria-describedby", `${id}-hint ${id}-fault`);
  return el("div", { class: "field" }, el("label", { for: id }, label), input, about, fault);
}

/** Writes below an input what is wrong with it; "" takes it away. */
export function showFault(input, text) {
  const fault = document.getElementById(`${input.id}-fault`);
  if (fault === null) return false;
  fault.textContent = text;
  fault.hidden = !text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  return true;
}

/** What stands percent-encoded in an address; as it is where it cannot be read. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 0.95) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5970) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** A time as a clock shows it, with the day where it is not today. */
export function clock(text) {
  const time = new Date(text);
  const today = new Date().toDateString() === time.toDateString();
  const date = today ? "" : `${time.toLocaleDateString()} `;
  return el("time", { datetime: text }, `${date}${time.toLocaleTimeString()}`);
}
