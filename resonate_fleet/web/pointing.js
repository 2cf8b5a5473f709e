// Choosing a bar of the lanes by pointer and keys; dragging over a span of time.

export class Pointing {
  // `words(bar)` tells of the chosen bar or of none, `pick(bar)` opens it; with `zoom(from, to)`
  // a span of time can be dragged over.
  constructor(lanes, { words, pick, zoom, drawn = () => {} }) {
    Object.assign(this, { lanes, words, pick, zoom, drawn, start: null });
    const canvas = lanes.canvas;
    canvas.addEventListener("pointermove", (event) => this.choose(this.at(event)));
    canvas.addEventListener("pointerleave", () => this.choose(null));
    canvas.addEventListener("click", (event) => this.click(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    if (!zoom) return;
    canvas.addEventListener("pointerdown", (event) => { this.start = this.timeOf(event); });
    addEventListener("pointerup", (event) => this.dropped(event));
  }

  // The bar under the pointer, or null.
  at({ clientX, clientY }) {
    const { lanes } = this;
    const box = lanes.canvas.getBoundingClientRect();
    const [px, py] = [clientX - box.left, clientY - box.top + lanes.box.scrollTop];
    let found = null;
    for (const bar of lanes.model.bars) {
      if (bar.lane >= lanes.tops.length) continue;
      const [x, y, wide, high] = lanes.place(bar);
      if (px >= x - 2 && px <= x + wide + 2 && py >= y - 1 && py <= y + high + 1) found = bar;
    }
    return found;
  }

  choose(bar) {
    if (bar === this.lanes.chosen) return;
    this.lanes.chosen = bar;
    this.words(bar);
    this.drawn();
  }

  click(event) {
    const bar = this.at(event);
    if (bar) this.pick(bar);
  }

  timeOf({ clientX }) {
    return this.lanes.time(clientX - this.lanes.canvas.getBoundingClientRect().left);
  }

  dropped(event) {
    if (this.start === null) return;
    const [from, to] = [this.start, this.timeOf(event)].sort((a, b) => a - b);
    this.start = null;
    if (to - from > (this.lanes.to - this.lanes.from) / 100) this.zoom(from, to);
  }

  // Left and right go along a lane's bars, up and down to the next lane; Enter opens the job.
  key(event) {
    const { lanes } = this;
    const bars = lanes.model.bars.filter((bar) => (bar.end ?? lanes.now) >= lanes.from && bar.begin <= lanes.to);
    if (!bars.length) return;
    if (event.key === "Enter" && lanes.chosen) this.pick(lanes.chosen);
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const across = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!along && !across) return;
    event.preventDefault();
    this.choose(along ? this.next(bars, along) : this.nextLane(bars, across));
  }

  next(bars, step) {
    const { chosen } = this.lanes;
    const lane = chosen ? chosen.lane : 0;
    const mine = bars.filter((bar) => bar.lane === lane).sort((a, b) => a.begin - b.begin);
    const here = mine.indexOf(chosen);
    const wanted = here < 0 ? mine.length - 1 : Math.min(Math.max(here + step, 0), mine.length - 1);
    return mine[wanted] ?? this.nextLane(bars, 1);
  }

  nextLane(bars, step) {
    const { lanes } = this;
    const here = lanes.chosen ? lanes.chosen.lane : step > 0 ? -1 : lanes.tops.length;
    const found = [...new Set(bars.map((bar) => bar.lane))].sort((a, b) => (a - b) * step);
    const lane = found.find((one) => (one - here) * step > 0) ?? here;
    const mine = bars.filter((bar) => bar.lane === lane);
    if (mine.length) lanes.box.scrollTop = Math.max(0, lanes.tops[lane] - lanes.tall / 2);
    return mine[mine.length - 1] ?? lanes.chosen;
  }
}
