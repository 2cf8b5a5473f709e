// What the bars and signs of the lanes mean.

import { h } from "./dom.js";
import { FAULTS, MARKS, OUTCOMES } from "./outcomes.js";
import { drawMark, drawOpen, drawSign } from "./signs.js";

// Entries for these outcomes, marks and faults, drawn as the lanes draw them.
export function legend(lanes, outcomes, signs) {
  const entry = (width, height, draw, words) => {
    const tile = h("canvas", { width, height, "aria-hidden": "true" });
    draw(tile.getContext("2d"));
    return h("span", {}, tile, words);
  };
  const bar = (outcome) => entry(18, 10, (pen) => {
    if (outcome === "running") return drawOpen(pen, lanes.colours["--ink"], lanes.patterns.running, [0, 0, 18, 10]);
    pen.fillStyle = lanes.patterns[outcome];
    pen.fillRect(0, 0, 18, 10);
  }, outcome === "frozen" ? "frozen or cut off" : OUTCOMES[outcome].words);
  const sign = (kind) => entry(16, 16, (pen) => (kind in FAULTS ? drawSign(pen, lanes.colours, kind, 8, 8) : drawMark(pen, lanes.colours, kind, 8, 8)), MARKS[kind]?.words ?? kind);
  return [...outcomes.map(bar), ...signs.map(sign)];
}
