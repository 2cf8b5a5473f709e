// Lanes on a canvas: a lane for each member, a row for each slot, a bar for each attempt.
// Only what is in sight is drawn, so that a thousand members and ten thousand attempts stay smooth.

import { fitted, ticks } from "./dom.js";
import { FAULTS, OUTCOMES, WAYS } from "./outcomes.js";
import { drawMark, drawOpen, drawSign, pattern } from "./signs.js";

const NARROW = 104; // pixels for names, on a telephone
const LEAST = 120; // and on a wide screen, where they take what they need
const MOST = 0.28; // of the width
const BESIDE = 28; // pixels of a lane that has its note beside its name, not below
const AXIS = 22;
const GAP = 10;
const TALLEST = 8000; // pixels of a picture on paper

// Deaths and faults come last: they lie on top.
const rank = (mark) => (mark.kind in FAULTS ? 2 : mark.kind === "died" ? 1 : 0);

export class Lanes {
  // `box` scrolls; `label(time)` writes a time on the axis. `paper`: the width of a printed page.
  constructor(box, label) {
    this.box = box;
    this.label = label;
    this.paper = null;
    this.canvas = box.querySelector("canvas");
    this.spacer = box.querySelector(".spacer");
    this.model = { lanes: [], bars: [], marks: [], links: [] };
    this.tops = [];
    this.row = 17;
    this.from = 0;
    this.to = 1;
    this.left = NARROW;
    this.chosen = null;
    this.colours = {};
    this.patterns = {};
    this.readTheme();
  }

  // lanes: {name, note, rows, from, until, dead, frozen: [[from, until]]};
  // bars: {lane, row, begin, end, outcome, task, steps: [times]}, `end` null: still running;
  // marks: {lane, row, at, until, kind}, `lane` null: of all, `row` null: of the lane;
  // links: {fromBar, toBar, way, at}: from an attempt that was cut off to the next of its task.
  set(model) {
    this.model = { ...model, marks: [...model.marks].sort((a, b) => rank(a) - rank(b)) };
    const rows = model.lanes.reduce((sum, lane) => sum + lane.rows, 0);
    this.row = rows > 120 ? 7 : rows > 45 ? 10 : rows > 20 ? 13 : 17;
    let top = AXIS + 12;
    this.tops = model.lanes.map((lane) => {
      const here = top;
      top += Math.max(lane.rows * this.row, 15) + GAP;
      return here;
    });
    this.height = top;
    this.longest = null;
    this.spacer.style.height = `${top}px`;
    this.box.style.height = `${top + 6}px`;
  }

  readTheme() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["--ink", "--soft", "--line", "--lane", "--card", "--blue", "--sky", "--green", "--orange", "--red", "--purple", "--gap", "--shade"]) {
      this.colours[name] = style.getPropertyValue(name).trim();
    }
    this.patterns.frozen = pattern(this.colours["--ink"], null, "rising");
    for (const [outcome, { colour, kind }] of Object.entries(OUTCOMES)) {
      this.patterns[outcome] = kind ? pattern(this.colours["--card"], this.colours[colour], kind) : this.colours[colour];
    }
  }

  // Pixels for names and notes: what the longest takes.
  measure(pen) {
    if (this.width < 560) return NARROW;
    const wide = (lane) => pen.measureText(lane.name).width + (this.isBeside(lane) ? pen.measureText(lane.note).width + 12 : 0);
    this.longest ??= Math.max(0, ...this.model.lanes.slice(0, 200).map(wide));
    return Math.round(Math.min(Math.max(LEAST, this.longest + 24), MOST * this.width));
  }

  isBeside(lane) {
    return lane.note && lane.rows * this.row < BESIDE;
  }

  x(time) {
    return this.left + ((time - this.from) / (this.to - this.from)) * (this.width - this.left - 8);
  }

  time(x) {
    const part = (x - this.left) / (this.width - this.left - 8);
    return this.from + Math.min(Math.max(part, 0), 1) * (this.to - this.from);
  }

  // Draws the window of time [from, to]; `now` is where growing bars end.
  draw(from, to, now) {
    Object.assign(this, { from, to, now });
    const pen = this.prepare();
    this.drawAxis(pen);
    pen.save();
    pen.beginPath();
    pen.rect(0, AXIS - 2, this.width, this.tall);
    pen.clip();
    pen.translate(0, -this.scrolled);
    const [first, last] = this.inSight();
    for (let i = first; i <= last; i++) this.drawLane(pen, i);
    pen.beginPath();
    pen.rect(this.left - 8, 0, this.width, this.height);
    pen.clip();
    this.drawBars(pen, first, last);
    for (let i = first; i <= last; i++) this.drawFrozen(pen, i);
    this.drawLinks(pen, first, last);
    this.drawMarks(pen, first, last);
    pen.restore();
  }

  prepare() {
    this.width = this.paper ?? this.box.clientWidth;
    this.tall = this.paper ? Math.min(this.height, TALLEST) : this.box.clientHeight;
    this.scrolled = this.paper ? 0 : this.box.scrollTop;
    const scale = this.paper ? 2 : Math.min(window.devicePixelRatio || 1, 2);
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
    this.left = this.measure(pen);
    return pen;
  }

  drawAxis(pen) {
    pen.strokeStyle = this.colours["--line"];
    pen.fillStyle = this.colours["--soft"];
    pen.textAlign = "center";
    pen.lineWidth = 1;
    for (const at of ticks(this.from, this.to, Math.min(8, Math.max(2, Math.floor((this.width - this.left) / 80))))) {
      const x = Math.round(this.x(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, AXIS);
      pen.lineTo(x, this.tall);
      pen.stroke();
      if (x > this.left + 24 && x < this.width - 30) pen.fillText(this.label(at), x, 10);
    }
  }

  // The first and last lane that the scrolled window shows.
  inSight() {
    const [low, high] = [this.scrolled - 40, this.scrolled + this.tall];
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
    const beside = this.isBeside(lane) && this.left > NARROW;
    pen.textAlign = "right";
    pen.fillStyle = this.colours["--soft"];
    if (beside) pen.fillText(lane.note, this.left - 12, y + height / 2);
    const room = this.left - 12 - (beside ? pen.measureText(lane.note).width + 12 : 0);
    pen.textAlign = "left";
    if (lane.note && !this.isBeside(lane)) pen.fillText(fitted(pen, lane.note, room), 0, y + 23);
    pen.fillStyle = lane.dead ? this.colours["--soft"] : this.colours["--ink"];
    pen.fillText(fitted(pen, lane.name, room), 0, y + (height < BESIDE ? height / 2 : 8));
  }

  drawBars(pen, first, last) {
    for (const bar of this.model.bars) {
      const end = bar.end ?? this.now;
      if (bar.lane < first || bar.lane > last || end < this.from || bar.begin > this.to) continue;
      const [x, y, wide, high] = this.place(bar, end);
      if (bar.end === null) drawOpen(pen, this.colours["--ink"], this.patterns[bar.outcome], [x, y, wide, high]);
      else {
        pen.fillStyle = this.patterns[bar.outcome];
        pen.fillRect(x, y, wide, high);
      }
      if (bar.steps) this.drawSteps(pen, bar, y + high);
      if (this.chosen && bar.task === this.chosen.task) {
        pen.strokeStyle = this.colours["--ink"];
        pen.lineWidth = bar === this.chosen ? 2.5 : 1.2;
        pen.strokeRect(x, y, wide, high);
      }
    }
  }

  drawSteps(pen, bar, y) {
    pen.fillStyle = this.colours["--card"];
    for (const at of bar.steps) if (at >= this.from && at <= this.to) pen.fillRect(this.x(at), y - this.row * 0.4, 1.3, this.row * 0.4);
  }

  // What stood still is seen through it.
  drawFrozen(pen, i) {
    pen.fillStyle = this.patterns.frozen;
    for (const [from, until] of this.model.lanes[i].frozen || []) {
      const x = Math.max(this.x(from), this.left);
      const wide = Math.min(this.x(until), this.width) - x;
      if (wide > 0) pen.fillRect(x, this.tops[i] - 2, wide, this.model.lanes[i].rows * this.row + 4);
    }
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
    for (const { fromBar, toBar, way, at } of this.model.links) {
      if (toBar.begin < this.from || Math.max(fromBar.lane, toBar.lane) < first || Math.min(fromBar.lane, toBar.lane) > last) continue;
      const [x1, y1] = [this.x(at ?? fromBar.end ?? toBar.begin), this.middle(fromBar)];
      const [x2, y2] = [this.x(toBar.begin), this.middle(toBar)];
      const bend = Math.max(14, (x2 - x1) / 2);
      pen.strokeStyle = this.colours[WAYS[way].colour];
      pen.setLineDash(WAYS[way].dash);
      pen.beginPath();
      pen.moveTo(x1, y1);
      pen.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
      pen.stroke();
      pen.fillStyle = pen.strokeStyle;
      pen.fill(new Path2D(`M${x2 - 5} ${y2 - 4}L${x2 + 2} ${y2}L${x2 - 5} ${y2 + 4}Z`));
    }
    pen.setLineDash([]);
  }

  middle(bar) {
    return this.tops[bar.lane] + (bar.row + 0.5) * this.row;
  }

  drawMarks(pen, first, last) {
    for (const mark of this.model.marks) {
      const everywhere = mark.lane === null;
      if (!everywhere && (mark.lane < first || mark.lane > last)) continue;
      if (Math.max(mark.at, mark.until ?? 0) < this.from || mark.at > this.to) continue;
      if (mark.kind in FAULTS) this.drawFault(pen, mark, everywhere);
      else drawMark(pen, this.colours, mark.kind, this.x(mark.at) + (mark.kind === "handed-over" ? 11 : 0), this.heightOf(mark));
    }
  }

  heightOf({ lane, row }) {
    return row === undefined || row === null ? this.tops[lane] + (this.model.lanes[lane].rows * this.row) / 2 : this.middle({ lane, row });
  }

  // A disc with the fault's sign, and a line down the lane; what lasted is shaded.
  drawFault(pen, { kind, lane, at, until }, everywhere) {
    const [top, bottom] = everywhere ? [AXIS + 6, this.height] : [this.tops[lane] - 5, this.tops[lane] + this.model.lanes[lane].rows * this.row + 2];
    const x = this.x(at);
    if (everywhere && until) {
      pen.fillStyle = this.colours["--shade"];
      pen.fillRect(x, top, this.x(until) - x, bottom - top);
    }
    pen.strokeStyle = this.colours["--ink"];
    pen.lineWidth = 1.2;
    pen.setLineDash([2, 2]);
    pen.stroke(new Path2D(`M${x} ${top}V${bottom}`));
    pen.setLineDash([]);
    drawSign(pen, this.colours, kind, x, top);
  }
}
