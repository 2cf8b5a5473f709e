// The list of jobs with search and filters, and the page of one job.

import { actButton } from "./acts.js";
import { byId, count, h, moment, say, span } from "./dom.js";

const STATES = ["waiting", "running", "sleeping", "done", "failed", "cancelled", "timed-out", "parked"];
const FIELDS = ["state", "function", "group", "member", "search"];

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `The steward answers ${answer.status}.`);
  return body;
}

export class Jobs {
  constructor(model, { go }) {
    Object.assign(this, { model, go, query: new URLSearchParams(), asked: 0 });
    const form = byId("filters");
    byId("filter-state").append(...STATES.map((one) => h("option", { value: one }, one)));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.filter(form));
    setInterval(() => { if (!byId("view-jobs").hidden && !document.hidden) this.load(); }, 2000);
  }

  filter(form) {
    const query = new URLSearchParams();
    for (const name of FIELDS) {
      const value = form.elements[name].value.trim();
      if (value) query.set(name, value);
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.go(`jobs?${query}`), 200);
  }

  show(query) {
    this.query = query;
    const form = byId("filters");
    for (const name of FIELDS) {
      if (document.activeElement !== form.elements[name]) form.elements[name].value = query.get(name) || "";
    }
    this.load();
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
    byId("job-rows").replaceChildren(...page.jobs.map(jobRow));
    const more = page.more ? "; there are more, narrow the search" : "";
    const shown = `${count(page.jobs.length)} shown, from the steward's live state${more}`;
    say(byId("jobs-note"), page.jobs.length ? shown : "No job of the last minutes is like that.");
  }
}

function jobRow(job) {
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `#/job/${encodeURIComponent(job.id)}` }, job.id)),
    h("td", {}, badge(job.state)), h("td", {}, job.function || "–"), h("td", {}, job.group || "–"), h("td", {}, job.member || "–"),
    h("td", { class: "number" }, job.attempt ? String(job.attempt) : "–"), h("td", {}, moment(job.created)), h("td", {}, moment(job.ended)));
}

function badge(state) {
  return h("span", { class: `badge ${state}` }, state);
}

export class JobPage {
  constructor(model) {
    this.model = model;
  }

  async show(id) {
    const box = byId("view-job");
    box.replaceChildren(h("p", { class: "hint" }, "Asking the server …"));
    try {
      this.fill(box, await ask(`job/${encodeURIComponent(id)}`));
    } catch (error) {
      box.replaceChildren(h("h1", {}, id), h("p", { class: "problem", role: "alert" }, error.message));
    }
  }

  fill(box, job) {
    const again = () => this.show(job.id);
    const acts = this.model.acts ? this.actsOf(job).map((act) => actButton(act, [job.id], again)) : [];
    box.replaceChildren(...[
      h("header", { class: "job-head" }, h("h1", {}, job.id), badge(job.state), h("div", { class: "tools" }, ...acts)),
      job.reason ? h("p", { class: "reason" }, job.reason) : null,
      h("dl", { class: "facts" }, ...facts(job)),
      section("Arguments", job.args === undefined ? null : code(job.args)),
      section("Result", job.result === undefined ? null : code(job.result)),
      section("Error", job.error ? h("pre", {}, job.error) : null),
      job.hidden ? h("p", { class: "hint" }, "Arguments and results are hidden by STEWARD_CONSOLE_PAYLOADS.") : null,
      section("Attempts", job.attempts.length ? attempts(job.attempts) : null),
      section("Children", job.children.length ? h("ul", { class: "tree" }, ...job.children.map(child)) : null),
    ].filter(Boolean));
  }

  actsOf(job) {
    if (job.state === "parked") return ["redrive", "reject"];
    if (["waiting", "running", "sleeping"].includes(job.state)) return job.state === "running" && this.model.kill ? ["cancel", "kill"] : ["cancel"];
    return ["rerun"];
  }
}

function facts(job) {
  const rows = [
    ["function", job.function ? `${job.function}${job.version > 1 ? ` version ${job.version}` : ""}` : "–"],
    ["group", job.group || "–"], ["created", moment(job.created)], ["ended", moment(job.ended)],
    ["took", job.ended ? span(job.ended - job.created) : "–"],
    ["tags", h("span", {}, ...Object.entries(job.tags || {}).map(([key, value]) => h("code", {}, `${key}=${value} `)))],
  ];
  return rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

function section(title, content) {
  return content === null ? null : h("section", { class: "card" }, h("h2", {}, title), content);
}

const code = (value) => h("pre", {}, JSON.stringify(value, null, 2));

function attempts(found) {
  const head = ["attempt", "member", "began", "ended", "outcome"].map((one) => h("th", { scope: "col" }, one));
  const rows = found.map((one) => h("tr", {}, h("td", {}, String(one.attempt)), h("td", {}, one.member), h("td", {}, moment(one.since)), h("td", {}, moment(one.ended)), h("td", {}, one.outcome || "running")));
  return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}

function child(one) {
  const inside = one.children && one.children.length ? h("ul", {}, ...one.children.map(child)) : null;
  return h("li", {}, h("a", { href: `#/job/${encodeURIComponent(one.id)}` }, one.id), " ", badge(one.state), " ", one.function || "", inside);
}

export class Lists {
  constructor(model) {
    this.model = model;
  }

  quarantine() {
    const rows = this.model.parked.map((one) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#/job/${encodeURIComponent(one.job)}` }, one.job)),
      h("td", { class: "number" }, String(one.attempt)), h("td", {}, one.members.join(", ")), h("td", {}, moment(one.since)),
      h("td", {}, ...(this.model.acts ? ["redrive", "reject"].map((act) => actButton(act, [one.job], () => {})) : []))));
    byId("parked-rows").replaceChildren(...rows);
    byId("parked-note").hidden = rows.length > 0;
  }

  async schedules() {
    try {
      const { schedules } = await ask("schedules");
      byId("schedule-rows").replaceChildren(...schedules.map((one) => h("tr", {}, h("th", { scope: "row" }, one.id), h("td", {}, h("code", {}, one.cron)), h("td", {}, one.function || "–"), h("td", {}, moment(one.next)), h("td", {}, moment(one.last)))));
      say(byId("schedules-note"), schedules.length ? "" : "No schedule is set. `fleet schedule add` sets one.");
    } catch (error) {
      say(byId("schedules-note"), error.message);
    }
  }
}
