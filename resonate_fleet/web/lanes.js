// Lanes on a canvas: a lane for each member, a row for each slot, a bar for each attempt.
// Only what is in sight is drawn, so that a thousand members and ten thousand attempts stay smooth.

import { ticks } from "./dom.js";
import { OUTCOMES } from "./outcomes.js";

const LABEL = 150; // pixels for names, on a wide screen
const NARROW = 84;
const AXIS = 22;
const GAP = 10;

export class Lanes {
  // `box` scrolls; `words(bar)` describes a bar; `label(time)` writes a time on the axis.
  constructor(box, { words, pick, label }) {
    this.box = box;
    this.words = words;
    this.pick = pick;
    this.label = label;
    this.canvas = box.querySelector("canvas");
    this.spacer = box.querySelector(".spacer");
    this.model = { lanes: [], bars: [], marks: [], links: [] };
    this.tops = [];
    this.row = 17;
    this.from = 0;
    this.to = 1;
    this.chosen = null;
    this.colours = {};
    this.patterns = {};
    this.readTheme();
    this.listen();
  }

  // lanes: {name, note, rows, from, until, dead, frozen}; bars: {lane, row, begin, end, outcome, id};
  // marks: {lane, at, kind}; links: {fromBar, toBar}. `end` null: still running.
  set(model) {
    this.model = model;
    const rows = model.lanes.reduce((sum, lane) => sum + lane.rows, 0);
    this.row = rows > 120 ? 7 : rows > 45 ? 10 : rows > 20 ? 13 : 17;
    let top = AXIS + 6;
    this.tops = model.lanes.map((lane) => {
      const here = top;
      top += Math.max(lane.rows * this.row, 15) + GAP;
      return here;
    });
    this.height = top;
    this.spacer.style.height = `${top}px`;
    this.box.style.height = `min(${top + 6}px, 56vh)`;
  }

  readTheme() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["--ink", "--soft", "--line", "--lane", "--card", "--blue", "--sky", "--green", "--orange", "--red", "--purple", "--gap"]) {
      this.colours[name] = style.getPropertyValue(name).trim();
    }
    for (const [outcome, { colour, pattern }] of Object.entries(OUTCOMES)) {
      this.patterns[outcome] = pattern ? this.pattern(this.colours[colour], pattern) : this.colours[colour];
    }
  }

  pattern(colour, kind) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 6, 6);
    pen.strokeStyle = pen.fillStyle = this.colours["--card"];
    const line = (a, b, c, d) => { pen.beginPath(); pen.moveTo(a, b); pen.lineTo(c, d); pen.stroke(); };
    if (kind === "falling" || kind === "crossed") line(0, 0, 6, 6);
    if (kind === "rising" || kind === "crossed") line(0, 6, 6, 0);
    if (kind === "lines") line(0, 3, 6, 3);
    if (kind === "dots") pen.fillRect(2, 2, 2, 2);
    return pen.createPattern(tile, "repeat");
  }

  get left() {
    return this.width < 560 ? NARROW : LABEL;
  }

  x(time) {
    return this.left + ((time - this.from) / (this.to - this.from)) * (this.width - this.left - 8);
  }

  // Draws the window of time [from, to]; `now` is where growing bars end.
  draw(from, to, now) {
    Object.assign(this, { from, to, now });
    const pen = this.prepare();
    this.drawAxis(pen);
    pen.save();
    pen.beginPath();
    pen.rect(0, AXIS, this.width, this.tall - AXIS);
    pen.clip();
    pen.translate(0, -this.box.scrollTop);
    const [first, last] = this.inSight();
    for (let i = first; i <= last; i++) this.drawLane(pen, i);
    this.drawBars(pen, first, last);
    this.drawLinks(pen, first, last);
    this.drawMarks(pen, first, last);
    pen.restore();
  }

  prepare() {
    this.width = this.box.clientWidth;
    this.tall = this.box.clientHeight;
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const [wide, high] = [Math.round(this.width * scale), Math.round(this.tall * scale)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
      this.canvas.style.width = `${this.width}px`;
      this.canvas.style.height = `${this.tall}px`;
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, this.width, this.tall);
    pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
    pen.textBaseline = "middle";
    return pen;
  }

  drawAxis(pen) {
    pen.strokeStyle = this.colours["--line"];
    pen.fillStyle = this.colours["--soft"];
    pen.textAlign = "center";
    pen.lineWidth = 1;
    for (const at of ticks(this.from, this.to, this.width > 700 ? 8 : 3)) {
      const x = Math.round(this.x(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, AXIS);
      pen.lineTo(x, this.tall);
      pen.stroke();
      if (x > this.left + 24 && x < this.width - 24) pen.fillText(this.label(at), x, 10);
    }
  }

  // The first and last lane that the scrolled window shows.
  inSight() {
    const [low, high] = [this.box.scrollTop - 40, this.box.scrollTop + this.tall];
    let first = 0;
    while (first < this.tops.length - 1 && this.tops[first + 1] < low) first++;
    let last = first;
    while (last < this.tops.length - 1 && this.tops[last + 1] < high) last++;
    return [first, this.tops.length ? last : -1];
  }

  drawLane(pen, i) {
    const lane = this.model.lanes[i];
    const [y, height] = [this.tops[i], lane.rows * this.row];
    const [from, until] = [Math.max(this.x(lane.from), this.left), Math.min(this.x(lane.until ?? this.now), this.width)];
    pen.fillStyle = this.colours["--lane"];
    if (until > from) pen.fillRect(from, y - 2, until - from, height + 4);
    pen.textAlign = "left";
    pen.fillStyle = lane.dead ? this.colours["--soft"] : this.colours["--ink"];
    pen.fillText(this.fitted(pen, lane.name, this.left - 10), 0, y + Math.min(height, 16) / 2);
    if (lane.rows * this.row >= 28 && lane.note) {
      pen.fillStyle = this.colours["--soft"];
      pen.fillText(this.fitted(pen, lane.note, this.left - 10), 0, y + 22);
    }
  }

  fitted(pen, text, room) {
    if (pen.measureText(text).width <= room) return text;
    let kept = text;
    while (kept.length > 3 && pen.measureText(kept + "…").width > room) kept = kept.slice(0, -1);
    return kept + "…";
  }

  drawBars(pen, first, last) {
    for (const bar of this.model.bars) {
      const end = bar.end ?? this.now;
      if (bar.lane < first || bar.lane > last || end < this.from || bar.begin > this.to) continue;
      const [x, y, wide, high] = this.place(bar, end);
      pen.fillStyle = this.patterns[bar.outcome];
      pen.fillRect(x, y, wide, high);
      if (bar.end === null) this.drawEdge(pen, x, y, wide, high);
      if (bar === this.chosen) {
        pen.strokeStyle = this.colours["--ink"];
        pen.lineWidth = 2;
        pen.strokeRect(x, y, wide, high);
      }
    }
  }

  // A running bar is open to the right: a bright edge, where it grows.
  drawEdge(pen, x, y, wide, high) {
    pen.fillStyle = this.colours["--ink"];
    pen.fillRect(x + wide - 2, y, 2, high);
  }

  place(bar, end = bar.end ?? this.now) {
    const x = Math.max(this.x(bar.begin), this.left);
    const thin = bar.outcome === "suspended" ? this.row / 4 : 0;
    const y = this.tops[bar.lane] + bar.row * this.row + 1 + thin;
    return [x, y, Math.max(1.5, this.x(end) - x - 1), this.row - 2 - 2 * thin];
  }

  // From where an attempt was cut off to where its job runs again.
  drawLinks(pen, first, last) {
    pen.lineWidth = 1.6;
    pen.strokeStyle = this.colours["--green"];
    for (const { fromBar, toBar } of this.model.links) {
      if (toBar.begin < this.from || Math.max(fromBar.lane, toBar.lane) < first || Math.min(fromBar.lane, toBar.lane) > last) continue;
      const [x1, y1] = [this.x(fromBar.end ?? toBar.begin), this.middle(fromBar)];
      const [x2, y2] = [this.x(toBar.begin), this.middle(toBar)];
      pen.beginPath();
      pen.moveTo(x1, y1);
      pen.bezierCurveTo(x1 + 14, y1, x2 - 14, y2, x2, y2);
      pen.stroke();
    }
  }

  middle(bar) {
    return this.tops[bar.lane] + (bar.row + 0.5) * this.row;
  }

  // Deaths come last: they lie on top.
  drawMarks(pen, first, last) {
    const deaths = (kind) => this.model.marks.filter((mark) => (mark.kind === "died") === kind);
    for (const mark of [...deaths(false), ...deaths(true)]) {
      if (mark.lane < first || mark.lane > last || mark.at < this.from || mark.at > this.to) continue;
      const lane = this.model.lanes[mark.lane];
      const beside = mark.kind === "handed-over" ? 11 : 0;
      this.drawMark(pen, mark.kind, this.x(mark.at) + beside, this.tops[mark.lane] + (lane.rows * this.row) / 2);
    }
  }

  drawMark(pen, kind, x, y) {
    const path = (colour, width, points) => {
      pen.strokeStyle = this.colours[colour];
      pen.lineWidth = width;
      pen.beginPath();
      for (const [a, b, c, d] of points) { pen.moveTo(x + a, y + b); pen.lineTo(x + c, y + d); }
      pen.stroke();
    };
    if (kind === "died") path("--red", 2.4, [[-5, -5, 5, 5], [-5, 5, 5, -5]]);
    else if (kind === "handed-over") path("--green", 2, [[-5, 0, 0, -5], [0, -5, 5, 0], [5, 0, 0, 5], [0, 5, -5, 0]]);
    else if (kind === "lapsed") path("--purple", 2, [[0, -7, 0, -2], [0, 2, 0, 7]]);
    else if (kind === "draining") path("--orange", 2, [[-4, -5, 4, -5], [4, -5, 0, 4], [0, 4, -4, -5]]);
    else if (kind === "left") path("--soft", 2, [[0, -6, 0, 6], [0, 0, -6, 0]]);
    else if (kind === "parked") path("--ink", 2, [[-3, -5, -3, 5], [3, -5, 3, 5]]);
    else if (kind === "cancelled") path("--ink", 2, [[-5, 0, 5, 0]]);
    else path("--soft", 1.4, [[0, -6, 0, 6]]);
  }

  // The bar at a point of the window, or null.
  at(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const [px, py] = [clientX - box.left, clientY - box.top + this.box.scrollTop];
    let found = null;
    for (const bar of this.model.bars) {
      if (bar.lane >= this.tops.length) continue;
      const [x, y, wide, high] = this.place(bar);
      if (px >= x - 2 && px <= x + wide + 2 && py >= y - 1 && py <= y + high + 1) found = bar;
    }
    return found;
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => this.choose(this.at(event.clientX, event.clientY)));
    this.canvas.addEventListener("pointerleave", () => this.choose(null));
    this.canvas.addEventListener("click", (event) => {
      const bar = this.at(event.clientX, event.clientY);
      if (bar) this.pick(bar);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  choose(bar) {
    this.chosen = bar;
    this.words(bar);
  }

  // Left and right go along a lane's bars, up and down to the next lane; Enter opens the job.
  key(event) {
    const bars = this.model.bars.filter((bar) => (bar.end ?? this.now) >= this.from);
    if (!bars.length) return;
    if (event.key === "Enter" && this.chosen) this.pick(this.chosen);
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const across = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!along && !across) return;
    event.preventDefault();
    this.choose(along ? this.next(bars, along) : this.nextLane(bars, across));
  }

  next(bars, step) {
    const lane = this.chosen ? this.chosen.lane : 0;
    const mine = bars.filter((bar) => bar.lane === lane).sort((a, b) => a.begin - b.begin);
    const here = mine.indexOf(this.chosen);
    const wanted = here < 0 ? mine.length - 1 : Math.min(Math.max(here + step, 0), mine.length - 1);
    return mine[wanted] ?? this.nextLane(bars, 1);
  }

  nextLane(bars, step) {
    const here = this.chosen ? this.chosen.lane : step > 0 ? -1 : this.tops.length;
    const lanes = [...new Set(bars.map((bar) => bar.lane))].sort((a, b) => (a - b) * step);
    const lane = lanes.find((one) => (one - here) * step > 0) ?? here;
    const mine = bars.filter((bar) => bar.lane === lane);
    if (mine.length) this.box.scrollTop = Math.max(0, this.tops[lane] - this.tall / 2);
    return mine[mine.length - 1] ?? this.chosen;
  }
}
