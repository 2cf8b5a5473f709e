// Puts the views together: the address says what is shown, the stream says what is new.

import { byId, count, say, span } from "./dom.js";
import { JobPage, Jobs, OtherLists } from "./jobs.js";
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
const jobs = new Jobs(model);
const page = new JobPage(model);
const lists = new OtherLists(model);
const scrolled = new Map(); // by address, to go back to
let here = null;

// What the address says, decoded; an address that is cut or mistyped is taken as it is.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const [path, query] = location.hash.replace(/^#\//, "").split(/\?(.*)/s);
  const [view, ...rest] = path.split("/");
  if (!VIEWS.includes(view)) return location.replace("#/now");
  byId("dialog").close(); // it was about what was shown before
  for (const one of VIEWS) byId(`view-${one}`).hidden = one !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else if (view === "job" && link.dataset.view === "jobs") link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (view === "jobs") jobs.show(new URLSearchParams(query));
  if (view === "job") page.show(decoded(rest.join("/")));
  if (view === "quarantine") lists.quarantine();
  if (view === "schedules") lists.schedules();
  arrive(path);
}

// Another page has its own place to read on, and the keyboard starts at it.
function arrive(path) {
  if (path !== here && here !== null) {
    scrollTo(0, path === "jobs" ? scrolled.get(path) ?? 0 : 0);
    if (!document.activeElement.closest("nav")) byId("main").focus({ preventScroll: true });
  }
  here = path;
  title();
}

function title() {
  const shown = document.querySelector("main > section:not([hidden])");
  const lost = ["lost", "elsewhere"].includes(document.documentElement.dataset.stream);
  const about = shown.id === "view-now" ? `${count(model.total("waiting"))} waiting` : shown.querySelector("h1")?.textContent || "Job";
  document.title = `${lost ? "steward gone · " : ""}${about} · fleet`;
}

function tell(state) {
  document.documentElement.dataset.stream = state;
  now.live = state === "live";
  say(byId("stream-words"), TELLS[state]);
  if (here !== null) title();
}

function changed() {
  now.changed();
  say(byId("steward"), model.steward);
  byId("partial").hidden = model.complete;
  const parked = model.parked.length;
  byId("parked-count").hidden = parked === 0;
  say(byId("parked-count"), count(parked));
  if (!byId("view-quarantine").hidden) lists.quarantine();
  if (!byId("view-job").hidden) page.changed();
  title();
}

themes(byId("theme"), (paper) => now.theme(paper));
tell("loading");
addEventListener("hashchange", route);
addEventListener("scroll", () => { if (here) scrolled.set(here, scrollY); }, { passive: true });
route();
const stream = new Stream(model, { changed, tell });
stream.open();
setInterval(() => {
  const age = Date.now() / 1000 - (model.at - now.skew);
  say(byId("age"), model.at && document.documentElement.dataset.stream !== "live" ? `as it was ${span(age)} ago` : "");
}, 1000);

// For whoever looks at the page from outside: its tests.
export { model, now };
