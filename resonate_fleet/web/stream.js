// The live state: one event stream from the steward; its changes go into one model.

import { INTERRUPTED, outcomeOf, wayOf } from "./outcomes.js";
import { natural } from "./dom.js";

const KEPT_SECONDS = 15 * 60;
const MOST_BARS = 20000;
const POINTS = 600;
// Milliseconds without a message after which a stream is dead, though no error came: a machine that
// slept, a network that forgot the connection. A steward speaks four times a second.
const SILENT = 10000;
const FIRST = 60000; // and the whole state takes its time on a slow network

// Rows of a lane: a slot each. An attempt takes the first row that is free when it begins.
class Lane {
  constructor(member) {
    this.member = member;
    this.rows = []; // the bar that fills each
  }

  // Where all slots seem taken, one comes free just now.
  rowFor(bar) {
    const free = (late) => this.rows.findIndex((one) => one.end !== null && one.end <= bar.begin + late);
    let row = free(0.02);
    if (row < 0 && this.rows.length >= this.member.slots) row = free(0.5);
    if (row < 0) row = this.rows.length;
    this.rows[row] = bar;
    return row;
  }

  // Seconds of its slots that bodies filled, running ones included.
  busy(now) {
    const until = this.member.until ?? now;
    const running = this.rows.filter((bar) => bar.end === null).map((bar) => until - bar.begin);
    return running.reduce((sum, one) => sum + Math.max(0, one), this.member.busy);
  }

  // The part of its slots' time that this is, 0 to 1.
  used(now) {
    const alive = (this.member.until ?? now) - this.member.since;
    return Math.min(1, this.busy(now) / (Math.max(0.001, alive) * this.member.slots));
  }
}

export class Model {
  constructor() {
    this.clear();
  }

  clear() {
    Object.assign(this, {
      at: 0, steward: "", since: 0, complete: false, serving: false, peers: [],
      groups: new Map(), lanes: new Map(), bars: new Map(), parked: [], marks: [], links: [], acts: false, kill: false,
    });
    this.lastOf = new Map(); // task: its newest bar
    this.forgotten = 0;
    this.measureAnew();
  }

  measureAnew() {
    this.curves = { waiting: [], rate: [], oldest: [], redone: [] };
    this.doneAt = []; // [time, jobs done]
  }

  whole(state) {
    const kept = this.steward === state.steward && this.since === state.since ? this.curves : null;
    this.clear();
    if (kept) this.curves = kept;
    this.change(state);
  }

  change(news) {
    if (news.at < this.at) this.measureAnew(); // the steward's clock was put right
    for (const key of ["at", "steward", "since", "complete", "serving", "peers", "acts", "kill"]) {
      if (news[key] !== undefined) this[key] = news[key];
    }
    for (const group of news.groups || []) this.groups.set(group.group, group);
    for (const member of news.members || []) this.lane(member.member).member = member;
    // By their beginning, so that each takes the row that was free then.
    const attempts = [...(news.running || []), ...(news.ended || [])];
    for (const attempt of attempts.sort((a, b) => a.since - b.since)) this.attempt(attempt);
    if (news.marks) this.marks.push(...news.marks);
    if (news.parked) this.parked = news.parked;
    this.measure();
    this.forget();
  }

  lane(name) {
    let lane = this.lanes.get(name);
    if (!lane) this.lanes.set(name, (lane = new Lane({ member: name, group: "", slots: 1, state: "present", since: this.at, done: 0, failed: 0, busy: 0 })));
    return lane;
  }

  attempt(one) {
    const key = `${one.task} ${one.attempt}`;
    let bar = this.bars.get(key);
    if (!bar) {
      bar = { ...one, key, begin: one.since, end: null, outcome: "running" };
      this.bars.set(key, bar);
      this.follow(bar);
      bar.row = this.lane(one.member).rowFor(bar);
    }
    if (one.ended !== null && one.ended !== undefined && bar.end === null) this.end(bar, one);
    return bar;
  }

  // A bar that takes up what another left behind is linked to it.
  follow(bar) {
    const before = this.lastOf.get(bar.task);
    this.lastOf.set(bar.task, bar);
    if (!before || before.attempt >= bar.attempt) return;
    if (before.end === null) this.end(before, { ended: bar.begin, outcome: "cut" });
    if (before.outcome === "open") before.outcome = "lost"; // or nobody would have taken it up
    if (!INTERRUPTED.has(before.outcome)) return;
    bar.again = true;
    bar.outcome = "again";
    this.links.push({ fromBar: before, toBar: bar, way: wayOf(before.outcome) });
  }

  end(bar, one) {
    bar.end = one.ended;
    const outcome = outcomeOf(one.outcome);
    bar.outcome = outcome === "resolved" && bar.again ? "again" : outcome;
    if (one.function) bar.function = one.function;
  }

  total(field) {
    let sum = 0;
    for (const group of this.groups.values()) sum += group[field] || 0;
    return sum;
  }

  get oldest() {
    let oldest = null;
    for (const group of this.groups.values()) {
      if (group.waiting && group.oldest && (oldest === null || group.oldest < oldest)) oldest = group.oldest;
    }
    return oldest;
  }

  // Jobs a second over the last ten seconds, from the groups' true counts.
  measure() {
    const done = this.total("done") + this.total("failed");
    this.doneAt = this.doneAt.filter(([at]) => at > this.at - 10);
    this.doneAt.push([this.at, done]);
    const [first, last] = [this.doneAt[0], this.doneAt[this.doneAt.length - 1]];
    this.rate = last[0] - first[0] > 0.5 ? Math.max(0, (last[1] - first[1]) / (last[0] - first[0])) : 0;
    this.point("waiting", this.total("waiting"));
    this.point("rate", this.rate);
    this.point("oldest", this.oldest === null ? 0 : Math.max(0, this.at - this.oldest));
    this.point("redone", this.total("redone"));
  }

  point(name, value) {
    const curve = this.curves[name];
    const last = curve[curve.length - 1];
    if (last && this.at - last[0] < 1) last[1] = value;
    else curve.push([this.at, value]);
    if (curve.length > POINTS) curve.splice(0, curve.length - POINTS);
  }

  forget() {
    const old = this.at - KEPT_SECONDS;
    if (Math.abs(this.at - this.forgotten) < 5 && this.bars.size < MOST_BARS) return;
    this.forgotten = this.at;
    this.marks = this.marks.filter((one) => one.at > old);
    for (const [key, bar] of this.bars) {
      if (bar.end === null || (bar.end > old && this.bars.size <= MOST_BARS)) continue;
      this.bars.delete(key);
      if (this.lastOf.get(bar.task) === bar) this.lastOf.delete(bar.task);
    }
    this.links = this.links.filter(({ toBar }) => this.bars.has(toBar.key));
    for (const [name, lane] of this.lanes) {
      if (lane.member.state !== "present" && (lane.member.until ?? 0) < old) this.lanes.delete(name);
    }
  }

  // What the canvas draws from a time on, for the members of one group or of all.
  picture(group, from) {
    const there = ({ member }) => member.state === "present" || (member.until ?? this.at) > from;
    const shown = [...this.lanes.values()].filter((lane) => there(lane) && (!group || lane.member.group === group));
    const many = new Set(shown.map((lane) => lane.member.group)).size > 1;
    shown.sort((a, b) => natural(a.member.group, b.member.group) || natural(a.member.member, b.member.member));
    const place = new Map(shown.map((lane, i) => [lane.member.member, i]));
    const bars = [];
    const rows = shown.map(({ member }) => Math.max(member.slots, 1));
    for (const bar of this.bars.values()) {
      bar.lane = place.get(bar.member) ?? -1;
      if (bar.lane < 0) continue;
      bars.push(bar);
      rows[bar.lane] = Math.max(rows[bar.lane], bar.row + 1);
    }
    const lanes = shown.map(({ member }, i) => ({
      name: member.member, note: many ? member.group : `${member.done} done`, rows: rows[i],
      from: member.since, until: member.until, dead: member.state !== "present",
    }));
    const marks = this.marks.filter((one) => place.has(one.member)).map((one) => ({ ...one, lane: place.get(one.member) }));
    const links = this.links.filter(({ fromBar, toBar }) => fromBar.lane >= 0 && toBar.lane >= 0);
    return { lanes, bars, marks, links };
  }
}

// Connects, and connects again. `tell(state)`: "loading", "live", "lost", "elsewhere".
export class Stream {
  constructor(model, { changed, tell }) {
    Object.assign(this, { model, changed, tell, failures: 0 });
  }

  open() {
    this.tell(this.failures ? "lost" : "loading");
    this.source = new EventSource("events");
    this.source.addEventListener("state", (event) => this.hear(event, "whole"));
    this.source.addEventListener("change", (event) => this.hear(event, "change"));
    this.source.onerror = () => this.broken();
    this.wait(FIRST);
  }

  wait(longest) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.broken(), longest);
  }

  hear(event, what) {
    this.failures = 0;
    this.wait(SILENT);
    this.model[what](JSON.parse(event.data));
    this.tell("live");
    this.changed(what);
  }

  broken() {
    this.source.close();
    clearTimeout(this.silence);
    this.failures += 1;
    this.tell("lost");
    if (this.failures >= 2) this.tryPeers();
    setTimeout(() => this.open(), Math.min(500 * this.failures, 5000));
  }

  // The steward is gone: whichever other one answers shows the same page.
  async tryPeers() {
    for (const peer of this.model.peers || []) {
      try {
        await fetch(`${peer}/livez`, { mode: "no-cors", cache: "no-store" });
      } catch {
        continue;
      }
      this.tell("elsewhere");
      location.replace(`${peer}/${location.hash}`);
      return;
    }
  }
}
