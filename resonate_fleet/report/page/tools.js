// Small helpers: elements as text, numbers as words, scales.

const data = JSON.parse(document.getElementById("data").textContent);
const run = data.timeline;
const began = performance.now();

const LOOKS = {
  resolved: "brought the result",
  again: "taken up again, result",
  suspended: "suspended, resumes later",
  released: "handed back",
  cut: "cut off by a strike",
  lost: "lease lost",
  rejected: "ended with an error",
  open: "no end known",
};
const WAYS = { "handed-over": "handed over by the steward", released: "handed back", lapsed: "lease lapsed" };

// What moves or turns text is shown as its number (contract/shown.py has the same).
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

function escaped(text) {
  const cleaned = String(text).replace(UNSAFE, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  return cleaned.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}

function tag(name, attributes, inside = "") {
  let text = "<" + name;
  for (const key in attributes) text += ` ${key}="${attributes[key]}"`;
  return `${text}>${inside}</${name}>`;
}

function seconds(ms) {
  const s = ms / 1000;
  return (s >= 100 ? s.toFixed(0) : s >= 10 ? s.toFixed(1) : s.toFixed(2)) + " s";
}

function short(value) {
  return Number(value.toPrecision(3)).toString();
}

// About `count` round numbers from `low` to `high`.
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
  return found;
}

function svg(width, height, inside) {
  return tag("svg", { viewBox: `0 0 ${width} ${height}`, xmlns: "http://www.w3.org/2000/svg" }, inside);
}

// Widths of a printed page's charts, in the units of page.css; null on a screen.
let printed = null;

function widthOf(id) {
  if (printed) return printed[id];
  return Math.max(320, Math.round(document.getElementById(id).clientWidth));
}

// Patterns, so that outcomes differ without their colours.
function pattern(name, size, ground, strokes) {
  const box = tag("rect", { width: size, height: size, fill: ground });
  return tag("pattern", { id: "p-" + name, width: size, height: size, patternUnits: "userSpaceOnUse" }, box + strokes);
}

function patterns() {
  const line = (d, colour, width) => `<path d="${d}" stroke="${colour}" stroke-width="${width}" fill="none"/>`;
  return (
    pattern("cut", 6, "var(--red)", line("M0 0L6 6M6 0L0 6", "var(--card)", 1)) +
    pattern("lost", 6, "var(--purple)", line("M-1 5L5 -1M1 7L7 1", "var(--card)", 1.4)) +
    pattern("released", 6, "var(--orange)", line("M-1 1L5 7M1 -1L7 5", "var(--card)", 1.4)) +
    pattern("suspended", 5, "var(--sky)", `<circle cx="2.5" cy="2.5" r="1.1" fill="var(--card)"/>`) +
    pattern("rejected", 4, "var(--ink)", line("M0 2H4", "var(--card)", 1)) +
    pattern("frozen", 7, "none", line("M0 7L7 0", "var(--card)", 3) + line("M0 7L7 0", "var(--ink)", 1.2))
  );
}
