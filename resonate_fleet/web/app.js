// Puts the views together: the address says what is shown, the stream says what is new.

import { byId, say, span } from "./dom.js";
import { JobPage, Jobs, Lists } from "./jobs.js";
import { Now } from "./now.js";
import { Model, Stream } from "./stream.js";
import { themes } from "./theme.js";

const VIEWS = ["now", "jobs", "job", "quarantine", "schedules"];
const TELLS = {
  loading: "connecting",
  live: "live",
  lost: "steward gone, trying again",
  elsewhere: "steward gone, going to the other",
};

const model = new Model();
const go = (where) => { location.hash = `#/${where}`; };
const now = new Now(model, { open: (job) => go(`job/${encodeURIComponent(job)}`) });
const jobs = new Jobs(model, { go });
const page = new JobPage(model);
const lists = new Lists(model);

function route() {
  const [path, query] = (location.hash.replace(/^#\//, "") || "now").split("?");
  const [view, ...rest] = path.split("/");
  const shown = VIEWS.includes(view) ? view : "now";
  for (const one of VIEWS) byId(`view-${one}`).hidden = one !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === shown || (shown === "job" && link.dataset.view === "jobs")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown === "jobs") jobs.show(new URLSearchParams(query));
  if (shown === "job") page.show(decodeURIComponent(rest.join("/")));
  if (shown === "quarantine") lists.quarantine();
  if (shown === "schedules") lists.schedules();
}

function tell(state) {
  document.documentElement.dataset.stream = state;
  now.live = state === "live";
  say(byId("stream-words"), TELLS[state]);
}

function changed() {
  now.changed();
  say(byId("steward"), model.steward);
  byId("partial").hidden = model.complete;
  document.title = `${model.total("waiting")} waiting · fleet`;
  const count = model.parked.length;
  byId("parked-count").hidden = count === 0;
  say(byId("parked-count"), String(count));
  if (!byId("view-quarantine").hidden) lists.quarantine();
}

themes(byId("theme"), (paper) => now.theme(paper));
tell("loading");
addEventListener("hashchange", route);
route();
const stream = new Stream(model, { changed, tell });
stream.open();
setInterval(() => {
  const age = Date.now() / 1000 - (model.at - now.skew);
  say(byId("age"), model.at && document.documentElement.dataset.stream !== "live" ? `as it was ${span(age)} ago` : "");
}, 1000);

// For whoever looks at the page from outside: its tests.
export { model, now };
