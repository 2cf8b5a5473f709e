// The list of jobs with search and filters, and the page of one job.

import { actButton, actsOf } from "./acts.js";
import { announce, byId, clean, count, h, moment, natural, say, span, update } from "./dom.js";
import { OUTCOMES, outcomeOf } from "./outcomes.js";

const STATES = ["waiting", "running", "sleeping", "done", "failed", "cancelled", "timed-out", "parked"];
const FIELDS = ["state", "function", "group", "member", "search"];
const PATIENCE = 30000; // milliseconds for an answer

async function ask(path) {
  const asked = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
  const answer = await fetch(path, asked).catch(() => { throw new Error("The steward does not answer."); });
  const body = await answer.json().catch(() => null);
  if (!answer.ok || !body) throw Object.assign(new Error(body?.error || `The steward answers ${answer.status}.`), { status: answer.status });
  return body;
}

// Asks again and again while the view is looked at; on a slow network each waits for the one before.
function repeat(view, milliseconds, load) {
  setTimeout(async () => {
    if (!byId(view).hidden && !document.hidden) await load();
    repeat(view, milliseconds, load);
  }, milliseconds);
}

export class Jobs {
  constructor(model) {
    Object.assign(this, { model, query: new URLSearchParams(), asked: 0 });
    const form = byId("filters");
    byId("filter-state").append(...STATES.map((one) => h("option", { value: one }, one)));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.filter(form));
    repeat("view-jobs", 2000, () => this.load());
  }

  // The address keeps the filter; a step back leaves the list, not each letter.
  filter(form) {
    const query = new URLSearchParams();
    for (const name of FIELDS) {
      const value = form.elements[name].value.trim();
      if (value) query.set(name, value);
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      if (byId("view-jobs").hidden) return;
      history.replaceState(null, "", `#/jobs${query.size ? `?${query}` : ""}`);
      this.show(query);
    }, 200);
  }

  show(query) {
    this.query = query;
    const form = byId("filters");
    for (const name of FIELDS) {
      if (document.activeElement !== form.elements[name]) form.elements[name].value = query.get(name) || "";
    }
    this.suggest();
    this.load();
  }

  // What function, group and member may be, as far as the page knows.
  suggest() {
    const { bars, groups, lanes } = this.model;
    const known = { function: [...bars.values()].map((bar) => bar.function), group: groups.keys(), member: lanes.keys() };
    for (const [name, values] of Object.entries(known)) {
      const words = [...new Set(values)].filter(Boolean).sort(natural).slice(0, 200);
      update(byId(`known-${name}s`), words.map((one) => h("option", { value: one })));
    }
  }

  async load() {
    const asked = (this.asked += 1);
    try {
      const page = await ask(`jobs?${this.query}`);
      if (asked === this.asked) this.fill(page);
    } catch (error) {
      if (asked === this.asked) say(byId("jobs-note"), error.message);
    }
  }

  fill(page) {
    const columns = page.columns.filter((one) => one.where !== "terminal" && one.kind !== "note");
    const notes = page.columns.filter((one) => one.kind === "note");
    update(byId("job-columns"), columns.map((one) => h("th", { scope: "col", class: classOf(one) }, one.title)));
    update(byId("job-rows"), page.jobs.map((job) => h("tr", { key: job.id }, ...columns.map((one) => jobCell(job, one, notes)))));
    this.offer(page.jobs.map((job) => job.id));
    const shown = `${count(page.jobs.length)} shown, from the steward's live state`;
    const words = [page.jobs.length ? shown : "No job of the last minutes is like that"];
    if (page.more) words.push("there are more, narrow the search");
    if (page.unread) words.push(`${count(page.unread)} that wait were not looked at`);
    say(byId("jobs-note"), `${words.join("; ")}.`);
  }

  // All jobs of one state can be acted on at once.
  offer(ids) {
    this.listed = ids;
    const state = this.query.get("state");
    const acts = this.model.acts && state && ids.length > 1 ? actsOf(state) : [];
    update(byId("jobs-acts"), acts.map((act) => actButton(act, () => this.listed, () => this.load(), count(ids.length))));
  }
}

const link = (id) => h("a", { href: `#/job/${encodeURIComponent(id)}`, title: clean(id) }, id);
const cell = (text, name) => h("td", { class: `name ${name}`, title: text ? clean(text) : null }, text || "–");

// The steward sends the columns with the jobs (contract/jobs.py, `COLUMNS`).
const classOf = ({ kind, spare }) => [kind, spare > 2 ? "if-wide" : spare ? "if-medium" : ""].join(" ").trim();

function jobCell(job, column, notes) {
  const value = job[column.field];
  const name = classOf(column);
  if (column.kind === "id") {
    const told = notes.map((one) => job[one.field]).filter(Boolean);
    return h("th", { scope: "row", class: "name" }, link(value), ...told.map((one) => h("p", { class: "hint" }, one)));
  }
  if (column.kind === "time") return h("td", { class: name }, moment(value));
  if (column.kind === "state") return h("td", { class: name }, badge(value));
  return column.kind === "number" ? h("td", { class: name }, value ? String(value) : "–") : cell(value, name);
}

function badge(state) {
  return h("span", { class: `badge ${state}` }, state);
}

export class JobPage {
  constructor(model) {
    Object.assign(this, { model, id: null, asked: 0, seen: "" });
  }

  show(id) {
    if (id !== this.id) byId("view-job").replaceChildren(h("h1", { key: id }, id), h("p", { class: "asking hint" }, "Asking the server …"));
    this.id = id;
    this.seen = this.sees();
    this.load();
  }

  // What the stream knows of this job: when that changes, the server is asked again.
  sees() {
    const { bars, marks, parked } = this.model;
    const mine = ({ job, task }) => job === this.id || task === this.id;
    const attempts = [...bars.values()].filter(mine).map((bar) => `${bar.key} ${bar.end}`);
    const others = [...marks, ...parked].filter(mine).map((one) => one.at ?? one.since);
    return [...attempts, ...others, this.model.acts, this.model.kill].join();
  }

  changed() {
    if (this.sees() !== this.seen) this.show(this.id);
  }

  async load() {
    const asked = (this.asked += 1);
    const box = byId("view-job");
    const { id } = this;
    try {
      const job = await ask(`job/${encodeURIComponent(id)}`);
      if (asked === this.asked) this.fill(box, job);
    } catch (error) {
      if (asked === this.asked) this.fail(box, id, error);
    }
  }

  // What is known stays; the server may be back soon.
  fail(box, id, { message, status }) {
    box.querySelector(".asking")?.remove();
    const problem = box.querySelector(":scope > .problem") ?? h("p", { class: "problem", role: "alert" });
    if (!problem.isConnected) box.firstChild.after(problem);
    say(problem, message); // which is heard once
    if (status !== 404) setTimeout(() => { if (id === this.id && !byId("view-job").hidden) this.load(); }, 2000);
  }

  fill(box, job) {
    const again = () => { if (job.id === this.id) this.show(job.id); }; // the viewer may be elsewhere
    const possible = this.model.acts ? actsOf(job.state) : [];
    if (this.model.acts && this.model.kill && job.state === "running") possible.push("kill");
    const acts = possible.map((act) => actButton(act, () => [job.id], again));
    const named = Object.keys(job.kwargs || {}).length ? job.kwargs : job.args;
    update(box, [
      h("header", { key: job.id, class: "job-head" }, h("h1", {}, job.id), badge(job.state), h("div", { class: "tools" }, copyButton(box), ...acts)),
      job.reason ? h("p", { class: "reason" }, job.reason) : null,
      ...(job.notes || []).map((note) => h("p", { class: "hint" }, note)),
      h("dl", { class: "facts" }, ...facts(job)),
      job.hidden ? h("p", { class: "hint" }, "Arguments and results are hidden by STEWARD_CONSOLE_PAYLOADS.") : null,
      section(job.state === "cancelled" ? "Reason" : "Error", job.error ? h("pre", {}, job.error) : null),
      section("Arguments", job.hidden ? null : code(named)),
      section("Result", job.state === "done" && !job.hidden ? code(job.result) : null),
      section("Attempts", job.attempts.length ? attempts(job.attempts) : null),
      section("Children", job.children.length ? h("ul", { class: "tree" }, ...job.children.map(child)) : null),
    ].filter(Boolean));
  }
}

// By the selection, which is there on a page without TLS too.
function copyButton(box) {
  const copy = () => {
    getSelection().selectAllChildren(box.querySelector("h1"));
    announce(document.execCommand("copy") ? "copied" : "selected");
  };
  return h("button", { type: "button", key: "copy", onclick: copy }, "Copy id");
}

function facts(job) {
  const rows = [
    ["function", job.function ? `${job.function}${job.version > 1 ? ` version ${job.version}` : ""}` : "–"],
    ["group", job.group || "–"], ["created", moment(job.created)],
    job.ended ? ["ended", [moment(job.ended), ` after ${span(job.ended - job.created)}`]] : ["time limit", moment(job.timeout)],
    ["claims", count(job.claims ?? 0)],
    ["runs again", job.repeats ? link(job.repeats) : null],
    ["run again as", job.repeated?.length ? job.repeated.map((one) => [link(one), " "]) : null],
    ["tags", tags(job)],
  ];
  return rows.filter(([, value]) => value !== null).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

// Tags that only repeat the job's id say nothing.
function tags(job) {
  const told = Object.entries(job.tags || {}).filter(([, value]) => value !== job.id);
  return told.length ? told.map(([key, value]) => [h("code", {}, `${key}=${value}`), " "]) : null;
}

function section(title, content) {
  return content === null ? null : h("section", { class: "card" }, h("h2", {}, title), content);
}

const code = (value) => h("pre", {}, JSON.stringify(value, null, 2));

function attempts(found) {
  const head = ["attempt", "member", "outcome", "began", "ended", "took"].map((one) => h("th", { scope: "col", class: ["began", "ended"].includes(one) ? "until" : null }, one));
  const rows = found.map((one) => h("tr", {}, h("td", {}, String(one.attempt)), cell(one.member, "member"), h("td", {}, became(one.outcome)),
    h("td", { class: "until" }, moment(one.since)), h("td", { class: "until" }, moment(one.ended)), h("td", { class: "one" }, span(one.ended && one.ended - one.since))));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows)));
}

function became(outcome) {
  if (outcome === "unknown-function") return "handed back: it lacks the function";
  return OUTCOMES[outcome ? outcomeOf(outcome) : "running"].words;
}

function child(one) {
  const inside = one.children && one.children.length ? h("ul", {}, ...one.children.map(child)) : null;
  return h("li", {}, link(one.id), " ", badge(one.state), " ", one.function || "", inside);
}

export class OtherLists {
  constructor(model) {
    this.model = model;
    repeat("view-schedules", 15000, () => this.schedules());
  }

  // What is parked is a job, or a child that is a task of its own.
  quarantine() {
    const { parked, acts } = this.model;
    if (this.parked === parked && this.acts === acts) return;
    Object.assign(this, { parked, acts });
    const buttons = (ids, all) => (acts ? actsOf("parked").map((act) => actButton(act, ids, () => {}, all)) : []);
    const rows = parked.map((one) => h("tr", { key: one.task },
      h("th", { scope: "row", class: "name" }, link(one.task)), h("td", { class: "number attempt" }, String(one.attempt)),
      h("td", { class: "crashed" }, one.members.map((name) => [h("span", {}, name), " "])), h("td", {}, moment(one.since)), h("td", {}, h("div", { class: "tools" }, ...buttons(() => [one.task])))));
    update(byId("parked-rows"), rows);
    update(byId("parked-acts"), rows.length > 1 ? buttons(() => this.model.parked.map(({ task }) => task), count(rows.length)) : []);
    byId("parked-note").hidden = rows.length > 0;
  }

  async schedules() {
    try {
      const { schedules } = await ask("schedules");
      update(byId("schedule-rows"), schedules.map((one) => h("tr", { key: one.id }, h("th", { scope: "row", class: "name" }, one.id),
        h("td", { class: "cron" }, h("code", {}, one.cron)), cell(one.function, "function"), h("td", {}, moment(one.next)), h("td", {}, moment(one.last)))));
      byId("schedules-none").hidden = schedules.length > 0;
      say(byId("schedules-note"), "");
    } catch (error) {
      say(byId("schedules-note"), error.message);
    }
  }
}
