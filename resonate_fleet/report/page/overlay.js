// Strikes, and the ways that interrupted work took to its next member.

const GLYPHS = {
  kill: "M-3 -3L3 3M3 -3L-3 3",
  "out-of-memory": "M-3 3V-2H3V3M-3 0.5H3",
  "kill-with-steward": "M-4 -3L0 3M0 -3L-4 3M2.6 -3V3",
  "steward-kill": "M-2.5 3L0 -3.2L2.5 3M-1.6 1H1.6",
  terminate: "M-3.2 -1.5L0 2.5L3.2 -1.5",
  pause: "M-1.7 -3V3M1.7 -3V3",
  partition: "M-4 0H-1.6M1.6 0H4M-0.6 3.4L0.6 -3.4",
  "server-restart": "M3 -1A3.2 3.2 0 1 0 3 1.6M3.2 -3.6V-0.8H0.6",
  "rolling-restart": "M-3.4 0A3.4 3.4 0 0 1 3 -1.6M3.4 0A3.4 3.4 0 0 1 -3 1.6",
  scale: "M0 -3.6V3.6M-2.2 -1.6L0 -3.6L2.2 -1.6M-2.2 1.6L0 3.6L2.2 1.6",
};

function drawStrikes() {
  return run.strikes.map((strike) => (inView(strike.at, strike.at) ? drawStrike(strike) : "")).join("");
}

function drawStrike(strike) {
  const cx = x(strike.at).toFixed(1);
  const lane = run.lanes[strike.lane];
  const top = lane ? view.tops[strike.lane] - 9 : TOP + 1;
  const bottom = lane ? view.tops[strike.lane] + lane.height * view.row + 2 : view.height;
  const gone = strike.fault === "server-restart" && strike.healed !== null && inView(strike.at, strike.healed);
  const wide = gone ? x(clip(strike.healed)) - x(strike.at) : 0;
  const away = gone ? tag("rect", { class: "away", x: cx, y: top, width: wide.toFixed(1), height: bottom - top }) : "";
  const inside =
    away + tag("line", { x1: cx, x2: cx, y1: top, y2: bottom }) +
    tag("circle", { cx, cy: top, r: 7.5 }) +
    tag("path", { d: GLYPHS[strike.fault] || "M0 -3V3", transform: `translate(${cx} ${top})` });
  return tag("g", { class: "strike", "data-strike": strike.number, "data-k": run.strikes.indexOf(strike) }, inside);
}

// A square with a P where a job was set aside, at the end of its last attempt.
function drawParked() {
  return run.parked.filter((one) => inView(one.at, one.at)).map((one) => {
    const [cx, cy] = [x(one.at), middleOf(one.bar)];
    const words = `${escaped(run.jobs[one.job][0])} was parked after ${one.crashes} crashes`;
    return tag("g", { class: "parking" }, `<title>${words}</title>` +
      tag("rect", { x: (cx - 7).toFixed(1), y: cy - 7, width: 14, height: 14, rx: 2 }) +
      tag("text", { x: cx.toFixed(1), y: cy + 4, "text-anchor": "middle" }, "P"));
  }).join("");
}

function drawArcs() {
  return run.recoveries.map(drawArc).join("");
}

function drawArc(one, index) {
  const from = run.bars[one.bar];
  const to = one.to === null ? null : run.bars[one.to];
  const until = to ? to[2] : from[3];
  const begin = Math.min(from[3], Math.max(one.at, from[2]));
  if (!inView(begin, until)) return "";
  const [x1, y1] = [x(begin), middleOf(one.bar)];
  let inside = "";
  if (to) {
    const [x2, y2] = [x(to[2]), middleOf(one.to)];
    const bend = Math.max(10, Math.abs(x2 - x1) / 2);
    const d = `M${x1.toFixed(1)} ${y1}C${(x1 + bend).toFixed(1)} ${y1} ${(x2 - bend).toFixed(1)} ${y2} ${x2.toFixed(1)} ${y2}`;
    inside += tag("path", { class: "arc " + one.way, d });
    inside += mark(one.way, x2, y2);
  }
  return tag("g", { class: "recovery", "data-r": index }, inside);
}

// A dot for a hand-over, a square for what was handed back, a diamond for a lapse.
function mark(way, cx, cy) {
  const c = "mark " + way;
  if (way === "handed-over") return tag("circle", { class: c, cx: cx.toFixed(1), cy, r: 4.5 });
  const turn = way === "lapsed" ? ` rotate(45)` : "";
  return tag("rect", { class: c, x: -4, y: -4, width: 8, height: 8, transform: `translate(${cx.toFixed(1)} ${cy})${turn}` });
}

function drawLegend() {
  const used = new Set(run.bars.map((bar) => bar[4]));
  const box = (look) => svg(18, 12, `<rect class="bar ${look}" x="0.5" y="0.5" width="17" height="11"/>`);
  const parts = Object.keys(LOOKS).filter((look) => used.has(look)).map((look) => [box(look), LOOKS[look]]);
  for (const way of new Set(run.recoveries.map((one) => one.way))) {
    const d = "M0 6H12";
    parts.push([svg(24, 12, tag("path", { class: "arc " + way, d }) + mark(way, 16, 6)), WAYS[way]]);
  }
  for (const fault of new Set(run.strikes.map((one) => one.fault))) {
    const sign = tag("g", { class: "sign strike-sign" }, tag("circle", { cx: 8, cy: 8, r: 7.5 }) +
      tag("path", { d: GLYPHS[fault] || "", transform: "translate(8 8)" }));
    parts.push([svg(16, 16, sign), fault]);
  }
  if (run.parked.length) parts.push([svg(14, 14, `<g class="parking"><rect width="14" height="14" rx="2"/><text x="7" y="11" text-anchor="middle">P</text></g>`), "parked"]);
  if (run.strikes.some((one) => one.fault === "server-restart")) parts.push([svg(18, 12, `<rect class="away" width="18" height="12"/>`), "server away"]);
  if (run.lanes.some((lane) => lane.frozen.length)) parts.push([svg(18, 12, `<rect class="frozen" width="18" height="12"/>`), "frozen or cut off"]);
  document.getElementById("legend").innerHTML = parts
    .map(([sign, words]) => `<span>${sign.replace("<svg", `<svg style="width:${sign.match(/0 0 (\d+)/)[1]}px;margin:0"`)}${words}</span>`)
    .join("");
}
