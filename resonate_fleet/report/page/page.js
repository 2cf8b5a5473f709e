// The report's page: the console's lanes over a whole run, its charts, the stories of its jobs.

import { byId, h, short } from "./dom.js";
import { Lanes } from "./lanes.js";
import { legend } from "./legend.js";
import { FAULTS, OUTCOMES, WAYS } from "./outcomes.js";
import { Pointing } from "./pointing.js";
import { themes } from "./theme.js";
import { drawCurves, drawRecovery, drawShares, drawWaits } from "./charts.js";

const data = JSON.parse(byId("data").textContent);
const run = data.timeline;
const end = (Math.max(run.end, 1) / 1000) * 1.015;
const window_ = { from: 0, to: end };
const seconds = (at) => `${short(at)} s`;
const lanes = new Lanes(byId("lanes"), seconds);
lanes.set(picture());
const byJob = Map.groupBy([...lanes.model.bars].sort((a, b) => a.begin - b.begin), (bar) => bar.job);

// The run as the lanes take it; its times come in milliseconds.
function picture() {
  const bars = run.bars.map(([lane, row, begin, until, outcome, job, number, child]) => ({
    lane, row, begin: begin / 1000, end: until / 1000, outcome, job, number, child, task: `${job}${child}`, steps: [],
  }));
  for (const [bar, at] of run.steps) bars[bar].steps.push(at / 1000);
  const links = run.recoveries.filter((one) => one.to !== null).map((one) => {
    const [fromBar, toBar] = [bars[one.bar], bars[one.to]];
    return { fromBar, toBar, way: one.way, at: Math.min(fromBar.end, Math.max(one.at / 1000, fromBar.begin)) };
  });
  for (const one of run.recoveries) bars[one.bar].recovery = one;
  const places = run.lanes.map((lane) => ({
    name: lane.name, note: `${lane.results} done`, rows: lane.height, from: lane.ready / 1000, until: lane.until / 1000,
    dead: lane.died, frozen: lane.frozen.map((times) => times.map((ms) => ms / 1000)),
  }));
  const marks = [
    ...places.flatMap((lane, i) => (lane.dead ? [{ lane: i, at: lane.until, kind: "died" }] : [])),
    ...run.parked.map((one) => ({ lane: bars[one.bar].lane, row: bars[one.bar].row, at: one.at / 1000, kind: "parked" })),
    ...run.strikes.map((one) => ({ lane: one.lane < 0 ? null : one.lane, at: one.at / 1000, until: one.healed && one.healed / 1000, kind: one.fault in FAULTS ? one.fault : "kill" })),
  ];
  return { lanes: places, bars, marks, links };
}

function draw() {
  lanes.draw(window_.from, window_.to, end);
  drawCurves(byId("curves"), run, lanes);
}

function zoom(from, to) {
  Object.assign(window_, { from, to });
  byId("back").hidden = from === 0 && to === end;
  draw();
}

function attemptLine(bar) {
  const claim = `claim ${bar.number}${bar.child ? ` of ${bar.child}` : ""} by `;
  const words = `, ${seconds(bar.begin)} to ${seconds(bar.end)}: ${OUTCOMES[bar.outcome].words}`;
  return h("li", {}, claim, h("b", {}, run.lanes[bar.lane].name), words, bar.recovery ? recoveryWords(bar.recovery) : "");
}

function recoveryWords(one) {
  const fault = one.cause in FAULTS ? ` (${one.cause})` : "";
  if (one.seconds === null) return `${fault}; nobody took it up again`;
  return `${fault}; ${WAYS[one.way].words}, taken up after ${short(one.seconds)} s, predicted ${short(one.low)} to ${short(one.high)} s`;
}

// What became of a job, for who points at one of its bars.
function story(index) {
  const [id, called, cost, created, settled, state] = run.jobs[index];
  const items = (byJob.get(index) || []).slice(0, 12).map(attemptLine);
  if (created !== null) items.unshift(h("li", {}, `sent at ${seconds(created / 1000)}`));
  const parked = run.parked.find((one) => one.job === index);
  if (parked) items.push(h("li", {}, h("b", {}, "parked"), ` at ${seconds(parked.at / 1000)}, after ${parked.crashes} crashes`));
  const ended = settled !== null && created !== null;
  items.push(h("li", {}, ended ? `${state} ${seconds((settled - created) / 1000)} after it was sent` : `no end (${state})`));
  return [h("b", {}, id), ` ${called}${cost === null ? "" : `, ${short(cost)} s of work`}`, h("ol", {}, items)];
}

// The story stands below the bar that is chosen, or above it where there is no room below.
function tell(bar) {
  const tip = byId("pointed");
  tip.hidden = !bar;
  if (!bar) return;
  tip.replaceChildren(...story(bar.job));
  const box = lanes.canvas.getBoundingClientRect();
  const [x, y, , high] = lanes.place(bar);
  tip.style.left = `${Math.max(8, Math.min(box.left + x, innerWidth - tip.offsetWidth - 8))}px`;
  const bottom = box.top + y + high + 8 - lanes.scrolled;
  const fits = bottom + tip.offsetHeight <= innerHeight;
  tip.style.top = `${fits ? bottom : Math.max(4, bottom - high - 16 - tip.offsetHeight)}px`;
}

function listStories() {
  const jobs = [...new Set(run.recoveries.map((one) => run.bars[one.bar][5]))].slice(0, 40);
  const rows = jobs.map((job) => h("tr", {}, h("td", {}, h("code", {}, run.jobs[job][0])),
    h("td", {}, h("ol", { class: "story" }, (byJob.get(job) || []).slice(0, 12).map(attemptLine)))));
  byId("stories").replaceChildren(rows.length ? h("table", {}, h("tbody", {}, rows)) : h("p", { class: "hint" }, "None was."));
}

function drawLegend() {
  const used = new Set(lanes.model.bars.map((bar) => bar.outcome));
  const outcomes = Object.keys(OUTCOMES).filter((one) => used.has(one));
  if (run.lanes.some((lane) => lane.frozen.length)) outcomes.push("frozen");
  byId("legend").replaceChildren(...legend(lanes, outcomes, [...new Set(lanes.model.marks.map((mark) => mark.kind))]));
}

function drawAll(paper) {
  lanes.paper = paper;
  lanes.readTheme();
  draw();
  drawLegend();
  drawRecovery(byId("recovery"), data.strikes);
  drawWaits(byId("waits"), run.waits, data.wait);
}

themes(byId("theme"), drawAll);
drawShares(byId("shares"), data.shares);
listStories();
new Pointing(lanes, { words: tell, pick: () => {}, zoom, drawn: draw });
lanes.canvas.addEventListener("dblclick", () => zoom(0, end));
lanes.box.addEventListener("scroll", draw);
byId("back").addEventListener("click", () => zoom(0, end));
new ResizeObserver(() => { if (!lanes.paper) drawAll(null); }).observe(lanes.box);
