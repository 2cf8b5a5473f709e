// The view of what happens now: figures with their curves, the lanes, and how the work is distributed.

import { announce, byId, choice, choose, clock, count, h, moment, natural, rate, say, shareBar, span, update } from "./dom.js";
import { Lanes } from "./lanes.js";
import { legend } from "./legend.js";
import { MARKS, OUTCOMES } from "./outcomes.js";
import { Pointing } from "./pointing.js";

const FRAME = 1000 / 30;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Now {
  constructor(model, { open }) {
    this.model = model;
    const select = byId("window");
    if ([...select.options].some((one) => one.value === choice("window"))) select.value = choice("window");
    this.window = Number(select.value);
    this.group = "";
    this.paused = null; // or since when
    this.skew = 0;
    this.lanes = new Lanes(byId("lanes"), clock);
    const drawn = () => { this.last = 0; };
    new Pointing(this.lanes, { words: (bar) => this.words(bar), pick: (bar) => open(bar.job), drawn });
    byId("pause").addEventListener("click", () => this.pause());
    select.addEventListener("change", () => {
      this.window = Number(select.value);
      this.stale = true;
      choose("window", select.value);
    });
    byId("group").addEventListener("change", (event) => { this.group = event.target.value; this.changed(); });
    this.last = 0;
    requestAnimationFrame((t) => this.frame(t));
  }

  theme(paper) {
    this.lanes.readTheme();
    this.lanes.paper = paper;
    this.explained = "";
    this.explain();
    if (paper) this.draw();
  }

  // The legend names what the lanes hold, and no more.
  explain() {
    const { bars, marks } = this.lanes.model;
    const from = this.at - this.window;
    const outcomes = new Set(["running", "resolved", ...bars.filter((bar) => bar.end === null || bar.end > from).map((bar) => bar.outcome)]);
    const kinds = new Set(marks.filter((mark) => mark.at > from).map((mark) => mark.kind));
    const shown = [[OUTCOMES, outcomes], [MARKS, kinds]].map(([table, used]) => Object.keys(table).filter((one) => used.has(one)));
    if (shown.join("|") === this.explained) return;
    this.explained = shown.join("|");
    byId("legend").replaceChildren(...legend(this.lanes, ...shown));
  }

  changed() {
    this.skew = this.model.at - Date.now() / 1000;
    this.stale = true;
  }

  get at() {
    return this.paused ?? this.model.at;
  }

  // The picture moves on between two messages: bars grow by the viewer's clock.
  get now() {
    return this.paused ?? Date.now() / 1000 + this.skew;
  }

  // The picture stands still for who wants to look at it; figures and table go on.
  pause() {
    this.paused = this.paused === null ? this.lanes.to : null;
    byId("pause").setAttribute("aria-pressed", String(this.paused !== null));
    this.last = 0;
  }

  // What scrolls is drawn in each frame, all else as often as it moves by a pixel, thirty times a
  // second at most; once a second for who wants no motion.
  frame(time) {
    const pixel = (1000 * this.window) / (this.lanes.width * devicePixelRatio);
    const pause = STILL.matches ? 1000 : Math.max(FRAME, pixel);
    const due = (this.stale && !STILL.matches) || time - this.last >= pause - 2 || this.lanes.scrolled !== this.lanes.box.scrollTop;
    if (!document.hidden && !byId("view-now").hidden && due) {
      this.last = time;
      if (this.stale) this.refresh();
      this.draw();
    }
    requestAnimationFrame((t) => this.frame(t));
  }

  draw() {
    const now = this.live ? this.now : this.at;
    this.lanes.draw(now - this.window, now, now);
  }

  refresh() {
    this.stale = false;
    this.lanes.set(this.model.picture(this.group, this.at - this.window));
    this.explain();
    byId("lanes").classList.toggle("empty", this.model.lanes.size === 0);
    byId("nobody").hidden = this.model.lanes.size > 0 || !this.model.at;
    this.figures();
    this.groups();
    this.members();
  }

  figures() {
    const model = this.model;
    const [waiting, running] = [model.total("waiting"), model.total("running")];
    figure("waiting", count(waiting), `${count(running)} of ${count(model.total("slots"))} slots busy`, model.curves.waiting);
    const oldest = model.oldest === null ? null : Math.max(0, model.at - model.oldest);
    figure("oldest", span(oldest), this.blocked() || (oldest === null ? "nothing waits" : "since it became claimable"), model.curves.oldest);
    const failed = h("a", { href: "#/jobs?state=failed" }, `${count(model.total("failed"))} failed`);
    figure("rate", rate(model.rate || 0), [`${count(model.total("done"))} done, `, failed], model.curves.rate);
    figure("redone", count(model.total("redone")), "attempts taken up again", model.curves.redone);
    figure("parked", count(model.parked.length), "jobs that crashed their members", null);
    byId("figure-parked").classList.toggle("bad", model.parked.length > 0);
  }

  // Why jobs wait though slots are free.
  blocked() {
    for (const group of this.model.groups.values()) {
      for (const [why, jobs] of Object.entries(group.blocked || {})) return `${count(jobs)} ${jobs === 1 ? "waits" : "wait"}: ${why}`;
    }
    return "";
  }

  groups() {
    const names = [...this.model.groups.keys()].sort(natural);
    const select = byId("group");
    if ([...select.options].map((one) => one.value).join() === ["", ...names].join()) return;
    select.replaceChildren(h("option", { value: "" }, "all groups"), ...names.map((one) => h("option", { value: one }, one)));
    select.value = names.includes(this.group) ? this.group : "";
    select.parentElement.hidden = names.length < 2;
  }

  members() {
    const found = [...this.model.lanes.values()].filter((lane) => !this.group || lane.member.group === this.group);
    found.sort((a, b) => natural(a.member.group, b.member.group) || natural(a.member.member, b.member.member));
    const most = Math.max(1, ...found.map(({ member }) => member.done + member.failed));
    const rows = found.slice(0, 200).map((lane) => this.memberRow(lane, most));
    if (found.length > 200) rows.push(h("tr", {}, h("td", { colspan: 9 }, `and ${count(found.length - 200)} more`)));
    update(byId("members"), rows);
    byId("members").parentElement.classList.toggle("one-group", new Set(found.map(({ member }) => member.group)).size < 2);
    this.balance(found.filter(({ member }) => member.state === "present"));
  }

  memberRow(lane, most) {
    const [one, now] = [lane.member, this.model.at];
    const jobs = one.done + one.failed;
    return h("tr", { class: one.state === "present" ? null : "gone", key: one.member },
      h("th", { scope: "row" }, h("a", { href: `#/jobs?member=${encodeURIComponent(one.member)}` }, one.member)), h("td", { class: "group" }, one.group),
      h("td", {}, one.state === "present" ? "present" : h("span", {}, `${one.state} `, one.until ? moment(one.until) : "")),
      h("td", { class: "number slots" }, one.state === "present" ? `${one.slots - one.free} / ${one.slots}` : "–"),
      h("td", { class: "number" }, count(one.done)), h("td", { class: "number" }, count(one.failed)), h("td", { class: "wide" }, shareBar(jobs / most)),
      h("td", { class: "number" }, span(lane.busy(now))), h("td", { class: "number" }, `${Math.round(lane.used(now) * 100)} %`));
  }

  // One number: how much of its time the least busy member worked, over that of the busiest.
  balance(present) {
    const used = present.map((lane) => lane.used(this.model.at));
    const most = Math.max(0, ...used);
    say(byId("balance"), used.length < 2 || !most ? "–" : `${Math.round((100 * Math.min(...used)) / most)} %`);
  }

  words(bar) {
    const box = byId("pointed");
    if (!bar) {
      say(box, "Point at a bar, or use the arrow keys, to read of its job.");
      return;
    }
    const ended = bar.end === null ? "" : `, ${OUTCOMES[bar.outcome].words} at ${clock(bar.end)}`;
    const lasts = span((bar.end ?? this.now) - bar.begin);
    const text = `${bar.task}: ${bar.function || "a function"}, attempt ${bar.number || bar.attempt} on ${bar.member}, since ${clock(bar.begin)}, ${lasts}${ended}`;
    say(box, text);
    announce(text);
  }
}

function figure(name, value, note, curve) {
  const box = byId(`figure-${name}`);
  say(box.querySelector(".value"), value);
  update(box.querySelector(".note"), [h("span", {}, note)]);
  if (curve) box.querySelector(".curve").setAttribute("d", curveOf(curve));
}

// A small curve, 100 by 24, of the last ten minutes.
function curveOf(points) {
  if (points.length < 2) return "";
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const top = Math.max(1e-9, ...points.map(([, value]) => value));
  const at = ([time, value]) => `${((100 * (time - from)) / Math.max(1, to - from)).toFixed(1)} ${(23 - (21 * value) / top).toFixed(1)}`;
  return `M${points.map(at).join("L")}`;
}
