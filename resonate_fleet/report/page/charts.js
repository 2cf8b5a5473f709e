// The curves below the lanes, and the report's three small charts.

import { h, s, shareBar, short, ticks } from "./dom.js";

const svg = (width, height, ...inside) => s("svg", { viewBox: `0 0 ${width} ${height}`, width }, inside);
const line = (x1, x2, y1, y2) => s("line", { class: "grid", x1, x2, y1, y2 });
const words = (x, y, text, more = {}) => s("text", { x, y, ...more }, text);
const hint = (text) => h("p", { class: "hint" }, text);
const widthOf = (box) => Math.max(300, box.clientWidth);

// [time, level] as a path of steps, within what the lanes show.
function stepPath(points, lanes, end, y) {
  let d = "";
  for (const [at, level] of points) {
    const px = Math.min(Math.max(lanes.x(at / 1000), lanes.left), lanes.width).toFixed(1);
    d += d ? `H${px}V${y(level).toFixed(1)}` : `M${px} ${y(level).toFixed(1)}`;
  }
  return d && `${d}H${Math.min(lanes.x(end / 1000), lanes.width).toFixed(1)}`;
}

export function drawCurves(box, run, lanes) {
  const most = (...curves) => Math.max(1, ...curves.flat().map(([, level]) => level));
  const [waits, slots] = [most(run.waiting), most(run.alive, run.busy)];
  const path = (points, base, limit) => stepPath(points, lanes, run.end, (level) => base - (level / limit) * 32);
  const closed = (d, base) => d && `${d}V${base}H${lanes.left}Z`;
  const [waiting, busy] = [path(run.waiting, 40, waits), path(run.busy, 84, slots)];
  box.replaceChildren(svg(lanes.width, 88,
    line(lanes.left, lanes.width, 40, 40), s("path", { class: "area", d: closed(waiting, 40) }), s("path", { class: "edge", d: waiting }),
    words(0, 24, "waiting"), words(0, 38, `up to ${waits}`, { class: "soft" }),
    line(lanes.left, lanes.width, 84, 84), s("path", { class: "busy", d: closed(busy, 84) }), s("path", { class: "slots", d: path(run.alive, 84, slots) }),
    words(0, 68, "slots busy"), words(0, 82, `of ${slots}`, { class: "soft" })));
}

export function drawRecovery(box, strikes) {
  const shown = strikes.filter((one) => one.seconds !== null).slice(0, 24);
  if (!shown.length) return box.replaceChildren(hint("No strike interrupted work that had to be taken up again."));
  const [wide, left, row] = [widthOf(box), 118, 24];
  const top = Math.max(...shown.map((one) => Math.max(one.seconds, one.predicted_high))) * 1.08;
  const x = (at) => left + (at / top) * (wide - left - 46);
  const foot = 8 + shown.length * row;
  const marks = ticks(0, top, 4).map((at) => [line(x(at), x(at), 4, foot), words(x(at), foot + 14, `${short(at)} s`, { class: "soft", "text-anchor": "middle" })]);
  const rows = shown.map((one, i) => {
    const [y, low, high] = [8 + i * row, x(one.predicted_low), x(one.predicted_high)];
    const found = { later: "slow", sooner: "soon" }[one.against] || "";
    return [words(0, y + 12, `${one.strike} ${one.fault}`), s("rect", { class: "band", x: low, y, width: high - low, height: row - 9, rx: 3 }),
      s("circle", { class: `dot ${found}`, cx: x(one.seconds), cy: y + 7.5, r: 5 }), words(Math.max(x(one.seconds), high) + 8, y + 12, `${short(one.seconds)} s`)];
  });
  box.replaceChildren(svg(wide, foot + 20, marks.flat(), rows.flat()), hint("The band is the prediction, the dot what was measured; a ring came sooner."));
}

export function drawWaits(box, bins, wait) {
  const [wide, base] = [widthOf(box), 118];
  const most = Math.max(1, ...bins.map(([, , jobs]) => jobs));
  const col = (wide - 10) / Math.max(bins.length, 1);
  const columns = bins.map(([low, , jobs], i) => {
    const tall = (jobs / most) * (base - 20);
    const edge = col < 40 && i % 2 ? "" : low === 0 ? "0" : `${short(low)} s`;
    return [s("rect", { class: "col", x: i * col + 2, y: base - tall, width: col - 4, height: tall, rx: 2 }),
      words(i * col + col / 2, base - tall - 5, jobs || "", { "text-anchor": "middle" }), words(i * col + 2, base + 15, edge, { class: "soft" })];
  });
  const text = wait.count ? `p50 ${short(wait.p50)} s, p95 ${short(wait.p95)} s, p99 ${short(wait.p99)} s, longest ${short(wait.max)} s` : "no job was claimed";
  box.replaceChildren(svg(wide, 140, line(0, wide, base, base), columns.flat()), hint(text));
}

export function drawShares(box, shares) {
  const shown = [...shares].sort((a, b) => b.results - a.results);
  const rows = shown.slice(0, 24).map((one) => h("tr", {}, h("th", { scope: "row" }, one.member),
    h("td", { class: "number" }, String(one.results)), h("td", { class: "half" }, shareBar(one.busy_seconds / Math.max(0.001, one.alive_seconds * one.slots, one.busy_seconds))),
    h("td", { class: "number" }, `${Math.round(100 * one.share)} %`)));
  const rest = shown.length > 24 ? ` And ${shown.length - 24} more.` : "";
  box.replaceChildren(h("table", {}, h("tbody", {}, rows)), hint(`Jobs done; the time in which its slots were busy; its part of all results.${rest}`));
}
