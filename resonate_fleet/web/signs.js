// Patterns of bars, and the signs that stand in the lanes and in their legend.

import { FAULTS, MARKS } from "./outcomes.js";

// A tile of 6 by 6 pixels: lines of one colour on another one, or on nothing.
export function pattern(lines, ground, kind) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  if (ground) {
    pen.fillStyle = ground;
    pen.fillRect(0, 0, 6, 6);
  }
  pen.strokeStyle = pen.fillStyle = lines;
  const line = (a, b, c, d) => { pen.beginPath(); pen.moveTo(a, b); pen.lineTo(c, d); pen.stroke(); };
  if (kind === "falling" || kind === "crossed") line(0, 0, 6, 6);
  if (kind === "rising" || kind === "crossed") line(0, 6, 6, 0);
  if (kind === "lines") line(0, 3, 6, 3);
  if (kind === "dots") pen.fillRect(2, 2, 2, 2);
  return pen.createPattern(tile, "repeat");
}

// A running bar: pale, outlined, open to the right, with an edge where it grows.
export function drawOpen(pen, ink, colour, [x, y, wide, high]) {
  pen.fillStyle = pen.strokeStyle = colour;
  pen.globalAlpha = 0.35;
  pen.fillRect(x, y, wide, high);
  pen.globalAlpha = 1;
  pen.lineWidth = 1.5;
  pen.stroke(new Path2D(`M${x + wide} ${y + 0.75}H${x + 0.75}V${y + high - 0.75}H${x + wide}`));
  pen.fillStyle = ink;
  pen.fillRect(x + wide - 2, y, 2, high);
}

export function drawMark(pen, colours, kind, x, y) {
  const { colour, path } = MARKS[kind] ?? MARKS.joined;
  pen.save();
  pen.translate(x, y);
  pen.strokeStyle = colours[colour];
  pen.lineWidth = 2;
  pen.stroke(new Path2D(path));
  pen.restore();
}

// A fault: its sign on a disc.
export function drawSign(pen, colours, kind, x, y) {
  pen.save();
  pen.translate(x, y);
  pen.fillStyle = colours["--ink"];
  pen.fill(new Path2D("M-7.5 0A7.5 7.5 0 1 1 7.5 0A7.5 7.5 0 1 1 -7.5 0"));
  pen.strokeStyle = colours["--card"];
  pen.lineWidth = 1.7;
  pen.stroke(new Path2D(FAULTS[kind]));
  pen.restore();
}
