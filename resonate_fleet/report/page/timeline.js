// A lane for each member, a bar for each attempt; drag to look closer.

const LEFT = 168;
const RIGHT = 14;
const TOP = 26;

const view = { from: 0, to: Math.max(run.end, 1) * 1.015, width: 1000, tops: [], row: 14 };

function x(ms) {
  return LEFT + ((ms - view.from) / (view.to - view.from)) * (view.width - LEFT - RIGHT);
}

function inView(begin, end) {
  return end >= view.from && begin <= view.to;
}

function clip(ms) {
  return Math.min(Math.max(ms, view.from), view.to);
}

function layout() {
  const rows = run.lanes.reduce((sum, lane) => sum + lane.height, 0);
  view.row = rows > 90 ? 6 : rows > 45 ? 9 : rows > 20 ? 13 : 18;
  const gap = run.lanes.length > 30 ? 4 : run.lanes.length > 12 ? 8 : 14;
  let top = TOP + 14;
  view.tops = run.lanes.map((lane) => {
    const here = top;
    top += Math.max(lane.height * view.row, run.lanes.length > 30 ? 8 : 15) + gap;
    return here;
  });
  view.height = top + 4;
}

function drawLanes() {
  view.width = widthOf("lanes");
  layout();
  const bars = [];
  for (let i = 0; i < run.bars.length; i++) bars.push(drawBar(i));
  const inside =
    tag("defs", {}, patterns()) + axis() + run.lanes.map(drawLane).join("") +
    `<g id="bars">${bars.join("")}</g>` + drawSteps() + run.lanes.map(drawFrozen).join("") + drawArcs() + drawParked() + drawStrikes() +
    tag("rect", { id: "chosen", class: "chosen", x: 0, y: TOP, width: 0, height: view.height - TOP });
  document.getElementById("lanes").innerHTML = svg(view.width, view.height, inside);
}

function axis() {
  const marks = ticks(view.from / 1000, view.to / 1000, view.width > 900 ? 12 : 6);
  return marks
    .map((s) => {
      const at = x(s * 1000).toFixed(1);
      return (
        tag("line", { class: "grid", x1: at, x2: at, y1: TOP, y2: view.height }) +
        tag("text", { class: "soft", x: at, y: 14, "text-anchor": "middle" }, short(s) + " s")
      );
    })
    .join("");
}

function drawLane(lane, index) {
  const y = view.tops[index];
  const height = lane.height * view.row;
  const ready = clip(Math.max(lane.ready, view.from));
  const until = clip(lane.until);
  let inside = tag("title", {}, `${escaped(lane.name)}: ${lane.results} results, ${lane.slots} slots`);
  const middle = y + height / 2 + 4;
  inside += tag("text", { x: 0, y: middle }, escaped(lane.name.slice(0, 22)));
  inside += tag("text", { class: "soft", x: LEFT - 10, y: middle, "text-anchor": "end" }, lane.results);
  if (inView(lane.ready, lane.until)) {
    const wide = Math.max(0, x(until) - x(ready)).toFixed(1);
    inside += tag("rect", { class: "alive", x: x(ready).toFixed(1), y: y - 2, width: wide, height: height + 4, rx: 3 });
  }
  if (lane.died && inView(lane.until, lane.until)) inside += death(x(lane.until), y + height / 2);
  return tag("g", { class: "lane" }, inside);
}

// Over the bars: what stood still is seen through it.
function drawFrozen(lane, index) {
  const [y, height] = [view.tops[index], lane.height * view.row];
  return lane.frozen
    .filter(([from, to]) => inView(from, to))
    .map(([from, to]) => {
      const at = x(clip(from));
      return tag("rect", { class: "frozen", x: at.toFixed(1), y: y - 2, width: (x(clip(to)) - at).toFixed(1), height: height + 4 });
    })
    .join("");
}

function death(cx, cy) {
  const d = `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8`;
  return tag("g", { class: "death" }, tag("path", { d }));
}

function drawBar(i) {
  const [lane, row, begin, end, look] = run.bars[i];
  const there = inView(begin, end);
  const from = there ? x(clip(begin)) : 0;
  const wide = there ? Math.max(1.2, x(clip(end)) - from) : 0;
  const y = view.tops[lane] + row * view.row;
  const thin = look === "suspended" ? view.row / 4 : 0;
  return (
    `<rect class="bar ${look}" data-i="${i}" x="${from.toFixed(1)}" y="${y + 0.5 + thin}"` +
    ` width="${wide.toFixed(1)}" height="${view.row - 1 - 2 * thin}"/>`
  );
}

function drawSteps() {
  if (run.steps.length > 20000) return "";
  const marks = [];
  for (const [bar, at] of run.steps) {
    if (!inView(at, at)) continue;
    const y = view.tops[run.bars[bar][0]] + run.bars[bar][1] * view.row;
    marks.push(`M${x(at).toFixed(1)} ${y + view.row * 0.6}V${y + view.row - 0.5}`);
  }
  return tag("path", { class: "step", d: marks.join("") });
}

// Where a time stands in the lane of a bar.
function middleOf(bar) {
  return view.tops[run.bars[bar][0]] + (run.bars[bar][1] + 0.5) * view.row;
}

function zoom(from, to) {
  view.from = from;
  view.to = to;
  document.getElementById("back").hidden = from === 0;
  drawLanes();
  drawCurves();
}

function timeAt(event) {
  const box = document.querySelector("#lanes svg").getBoundingClientRect();
  const at = ((event.clientX - box.left) / box.width) * view.width;
  const part = (at - LEFT) / (view.width - LEFT - RIGHT);
  return view.from + Math.min(Math.max(part, 0), 1) * (view.to - view.from);
}

function listenForDrags() {
  const area = document.getElementById("lanes");
  let start = null;
  area.addEventListener("pointerdown", (event) => { if (event.button === 0) start = timeAt(event); });
  area.addEventListener("pointermove", (event) => {
    if (start === null) return;
    event.preventDefault();
    const [from, to] = [start, timeAt(event)].sort((a, b) => a - b);
    const chosen = document.getElementById("chosen");
    chosen.setAttribute("x", x(from));
    chosen.setAttribute("width", x(to) - x(from));
  });
  window.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [from, to] = [start, timeAt(event)].sort((a, b) => a - b);
    start = null;
    if (to - from > (view.to - view.from) / 100) zoom(from, to);
    else document.getElementById("chosen").setAttribute("width", 0);
  });
  const whole = () => zoom(0, Math.max(run.end, 1) * 1.015);
  area.addEventListener("dblclick", whole);
  document.getElementById("back").addEventListener("click", whole);
}
