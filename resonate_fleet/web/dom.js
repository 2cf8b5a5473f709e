// Elements, numbers and times. Foreign text only ever becomes text: nothing here parses HTML.

export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "key") element.key = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  const shown = children.flat(Infinity).filter((one) => one !== null && one !== undefined);
  element.append(...shown.map((one) => (one instanceof Node ? one : clean(one))));
  return element;
}

// Makes the nodes in `box` like the wanted ones. Nodes that are there already stay, so that focus,
// selection and scrolling do; those with a `key` are told apart by it.
export function update(box, wanted) {
  const held = document.activeElement;
  const keys = new Set(wanted.map((one) => one.key));
  for (const one of [...box.childNodes]) if (one.key && !keys.has(one.key)) one.remove();
  const keyed = new Map([...box.childNodes].map((one) => [one.key, one]));
  wanted.forEach((fresh, i) => {
    const here = box.childNodes[i] ?? null;
    const same = fresh.key ? keyed.get(fresh.key) : here;
    if (same && same.key === fresh.key && same.nodeName === fresh.nodeName) {
      if (same !== here) box.insertBefore(same, here);
      liken(same, fresh);
    } else box.insertBefore(fresh, here);
  });
  while (box.childNodes.length > wanted.length) box.lastChild.remove();
  if (held !== document.activeElement && box.contains(held)) held.focus({ preventScroll: true });
}

function liken(old, fresh) {
  if (fresh.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  update(old, [...fresh.childNodes]);
}

// A choice of the viewer, kept in this browser; null where there is none, or nothing can be kept.
export function choice(name) {
  try {
    return localStorage.getItem(`fleet.${name}`);
  } catch {
    return null;
  }
}

export function choose(name, value) {
  try {
    if (value === null) localStorage.removeItem(`fleet.${name}`);
    else localStorage.setItem(`fleet.${name}`, value);
  } catch {
    // It lasts as long as the page then.
  }
}

// What moves, hides or turns text is shown as its number (contract/shown.py has the same).
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

export function clean(text) {
  return String(text).replace(UNSAFE, (one) => "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"));
}

export const byId = (id) => document.getElementById(id);

// Sets the text only where it differs: screen readers hear what changed, nothing else.
export function say(element, text) {
  const shown = clean(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// What is said aloud to who cannot see the picture.
export function announce(text) {
  say(byId("announcer"), text);
}

const NUMBER = new Intl.NumberFormat("en");
export const count = (n) => NUMBER.format(n);

// Two significant digits: ten seconds give no more.
export function rate(n) {
  return n >= 10 ? count(Math.round(n)) : n >= 1 ? n.toFixed(1) : n === 0 ? "0" : n.toFixed(2);
}

// Three significant digits.
export const short = (value) => Number(value.toPrecision(3)).toString();

// A length of time in the two units that matter: 0.42 s, 4.2 s, 42 s, 4 min 12 s, 3 h 5 min, 2 d 4 h.
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.005) return "0 s";
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  seconds = Math.max(60, seconds);
  const [large, unit, small, next] =
    seconds < 3600 ? [60, "min", 1, "s"] : seconds < 86400 ? [3600, "h", 60, "min"] : [86400, "d", 3600, "h"];
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${unit}${rest ? ` ${rest} ${next}` : ""}`;
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });
const YEAR = new Intl.DateTimeFormat([], { day: "numeric", month: "short", year: "numeric" });

// A moment in the viewer's zone; the server's own, in UTC, on hover.
export function moment(at) {
  const [date, today] = [new Date((at ?? NaN) * 1000), new Date()];
  if (isNaN(date)) return h("span", {}, "–"); // none, or beyond the last day that a browser knows
  const day = date.getFullYear() === today.getFullYear() ? DAY : YEAR;
  const sameDay = date.toDateString() === today.toDateString();
  const text = sameDay ? CLOCK.format(date) : `${day.format(date)} ${CLOCK.format(date)}`;
  return h("time", { datetime: date.toISOString(), title: `${date.toISOString()} (server's time)` }, text);
}

export const clock = (at) => CLOCK.format(new Date(at * 1000));

// worker-2 before worker-10.
const ORDER = new Intl.Collator("en", { numeric: true });
export const natural = (a, b) => ORDER.compare(a, b);

// About `wanted` round numbers from `low` to `high`.
export function ticks(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const step = steps.find((one) => one >= raw) || raw;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(at);
  return found;
}

// A bar for a part of the whole, from 0 to 1.
export function shareBar(part) {
  return s("svg", { class: "share", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "rest", width: 100, height: 8 }), s("rect", { class: "part", width: (100 * part).toFixed(2), height: 8 }));
}

// Text that is shortened to so many pixels. Names of replicas differ at their end: the middle goes.
export function fitted(pen, text, room) {
  const letters = [...clean(text)];
  if (pen.measureText(letters.join("")).width <= room) return letters.join("");
  const cut = (kept) => `${letters.slice(0, Math.ceil(kept / 2)).join("")}…${letters.slice(letters.length - Math.floor(kept / 2)).join("")}`;
  let kept = Math.min(letters.length - 1, 80);
  while (kept > 2 && pen.measureText(cut(kept)).width > room) kept -= 1;
  return cut(kept);
}
