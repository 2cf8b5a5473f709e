// The curves below the lanes, and the three small charts.

function stepPath(points, y) {
  let d = "";
  let last = null;
  for (const [at, level] of points) {
    if (at > view.to) break;
    const px = x(clip(at)).toFixed(1);
    d += last === null ? `M${px} ${y(level).toFixed(1)}` : `H${px}V${y(level).toFixed(1)}`;
    last = level;
  }
  return last === null ? "" : `${d}H${x(Math.min(view.to, run.end)).toFixed(1)}`;
}

function drawCurves() {
  const most = (...curves) => curves.reduce((top, points) => points.reduce((m, p) => Math.max(m, p[1]), top), 1);
  const [waits, slots] = [most(run.waiting), most(run.alive, run.busy)];
  const [upper, lower] = [46, 92];
  const up = (base, limit) => (level) => base - (level / limit) * 34;
  const close = (d, base) => (d ? `${d}V${base}H${x(view.from).toFixed(1)}Z` : "");
  const base = (y) => tag("line", { class: "grid", x1: LEFT, x2: view.width - RIGHT, y1: y, y2: y });
  const waiting = stepPath(run.waiting, up(upper, waits));
  const inside =
    base(upper) + tag("path", { class: "area", d: close(waiting, upper) }) + tag("path", { class: "edge", d: waiting }) +
    words(28, "jobs waiting", `up to ${waits}`) +
    base(lower) + tag("path", { class: "busy", d: close(stepPath(run.busy, up(lower, slots)), lower) }) +
    tag("path", { class: "slots", d: stepPath(run.alive, up(lower, slots)) }) + words(74, "slots busy", `of ${slots} at most`);
  document.getElementById("curves").innerHTML = svg(view.width, 98, inside);
}

function words(y, name, more) {
  return tag("text", { x: 0, y }, name) + tag("text", { class: "soft", x: 0, y: y + 14 }, more);
}

function drawRecovery() {
  const judged = data.strikes.filter((one) => one.seconds !== null);
  const place = document.getElementById("recovery");
  if (!judged.length) {
    place.innerHTML = "<p class='hint'>No strike interrupted work that had to be taken up again.</p>";
    return;
  }
  const shown = judged.slice(0, 24);
  const [wide, left, row] = [widthOf("recovery"), 118, 24];
  const top = Math.max(...shown.map((one) => Math.max(one.seconds, one.predicted_high))) * 1.08;
  const px = (s) => left + (s / top) * (wide - left - 46);
  const rows = shown.map((one, i) => {
    const y = 8 + i * row;
    const slow = { later: " slow", sooner: " soon" }[one.against] || "";
    const band = { class: "band", x: px(one.predicted_low), y, width: px(one.predicted_high) - px(one.predicted_low), height: row - 9, rx: 3 };
    const cx = px(one.seconds);
    return (
      tag("text", { x: 0, y: y + 12 }, `${one.strike} ${escaped(one.fault)}`) + tag("rect", band) +
      tag("circle", { class: "dot" + slow, cx, cy: y + 7.5, r: 5 }) +
      tag("text", { x: Math.max(cx, px(one.predicted_high)) + 8, y: y + 12 }, short(one.seconds) + " s")
    );
  });
  const foot = 8 + shown.length * row;
  const marks = ticks(0, top, 4).map((s) =>
    tag("line", { class: "grid", x1: px(s), x2: px(s), y1: 4, y2: foot }) +
    tag("text", { class: "soft", x: px(s), y: foot + 14, "text-anchor": "middle" }, short(s) + " s"));
  const said = "The band is the prediction, the dot what was measured; a ring came sooner.";
  place.innerHTML = svg(wide, foot + 20, marks.join("") + rows.join("")) + `<p class="hint">${said}</p>`;
}

function drawWaits() {
  const wide = widthOf("waits");
  const [height, base] = [150, 118];
  const bins = run.waits;
  const most = Math.max(1, ...bins.map((bin) => bin[2]));
  const col = (wide - 10) / Math.max(bins.length, 1);
  const cols = bins.map(([low, high, count], i) => {
    const tall = (count / most) * (base - 20);
    const words = high === null ? `${short(low)} s or more` : `${short(low)} to ${short(high)} s`;
    return (
      tag("rect", { class: "col", x: i * col + 2, y: base - tall, width: col - 4, height: tall, rx: 2 }, `<title>${words}: ${count} jobs</title>`) +
      tag("text", { x: i * col + col / 2, y: base - tall - 5, "text-anchor": "middle" }, count || "") +
      tag("text", { class: "soft", x: i * col + 2, y: base + 15 }, col < 40 && i % 2 ? "" : low === 0 ? "0" : short(low) + " s")
    );
  });
  const w = data.wait;
  const words = w.count ? `p50 ${short(w.p50)} s, p95 ${short(w.p95)} s, p99 ${short(w.p99)} s, longest ${short(w.max)} s` : "no job was claimed";
  const line = tag("line", { class: "grid", x1: 0, x2: wide, y1: base, y2: base });
  document.getElementById("waits").innerHTML = svg(wide, height - 10, line + cols.join("")) + `<p class="hint">${words}</p>`;
}

function drawShares() {
  const shown = [...data.shares].sort((a, b) => b.results - a.results).slice(0, 24);
  const [wide, left, row] = [widthOf("shares"), 132, 20];
  const most = Math.max(0.001, ...shown.map((one) => Math.max(one.alive_seconds * one.slots, one.busy_seconds)));
  const px = (s) => (s / most) * (wide - left - 52);
  const rows = shown.map((one, i) => {
    const y = 4 + i * row;
    const alive = Math.max(one.alive_seconds * one.slots, one.busy_seconds);
    return (
      tag("text", { x: 0, y: y + 11 }, escaped(one.member.slice(0, 18))) +
      tag("rect", { class: "idle", x: left, y, width: px(alive), height: row - 7, rx: 2 }) +
      tag("rect", { class: "col", x: left, y, width: px(one.busy_seconds), height: row - 7, rx: 2 }) +
      tag("text", { x: left + px(alive) + 6, y: y + 11 }, `${(one.share * 100).toFixed(0)} %`)
    );
  });
  const rest = data.shares.length - shown.length;
  const said = "Filled: busy; empty: slots with nothing to do; the figure: part of all results." + (rest > 0 ? ` And ${rest} more.` : "");
  document.getElementById("shares").innerHTML = svg(wide, 8 + shown.length * row, rows.join("")) + `<p class="hint">${said}</p>`;
}
