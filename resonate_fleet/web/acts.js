// Acts: only with the console's token, which stays in this page's memory and goes nowhere else.

import { byId, h, say } from "./dom.js";

let token = "";

// What each does, said before it is done.
const ACTS = {
  cancel: { title: "Cancel", says: "A waiting job never starts; a running one is stopped. Its children too." },
  rerun: { title: "Run again", says: "A new job of the same call is made; this one keeps its result." },
  redrive: { title: "Redrive", says: "The job goes back to its group; its crashes are forgotten." },
  reject: { title: "Reject", says: "The job ends as rejected, for whoever awaits it." },
  kill: { title: "Kill the member", says: "The member that holds this job is killed, as a crash would. The job is taken up again elsewhere." },
};

const MOST = 1000; // jobs of one act; the steward refuses more

// What may be done with jobs of this state.
export function actsOf(state) {
  if (state === "parked") return ["redrive", "reject"];
  return ["waiting", "running", "sleeping"].includes(state) ? ["cancel"] : ["rerun"];
}

// A button for an act on the jobs that `ids()` names when it is clicked; `all`: how many, if several.
export function actButton(act, ids, done, all = null) {
  const words = all === null ? ACTS[act].title : `${ACTS[act].title} all ${all}`;
  return h("button", { type: "button", key: act, class: `act ${act}`, onclick: () => ask(act, ids().slice(0, MOST), done) }, words);
}

function ask(act, jobs, done) {
  const dialog = byId("dialog");
  const field = h("input", { type: "password", autocomplete: "off", id: "token", value: token, required: true });
  const problem = h("p", { class: "problem", role: "alert" });
  let sent = false;
  const asking = h("button", { class: "strong" }, ACTS[act].title);
  const send = async (event) => {
    event.preventDefault();
    if (sent) return; // once, however often it is clicked
    sent = true;
    token = field.value;
    say(problem, "");
    const answer = await post(act, jobs);
    sent = false;
    if (!answer.error) done(answer);
    if (!asking.isConnected || !dialog.open) return;
    if (answer.error) return say(problem, answer.error);
    const unchanged = Object.values(answer.unchanged ?? {});
    if (unchanged.length) return say(problem, `${unchanged.length} unchanged: ${unchanged[0]}`);
    dialog.close();
  };
  dialog.replaceChildren(h("form", { onsubmit: send },
    h("h2", { id: "dialog-title" }, `${ACTS[act].title}: ${jobs.length === 1 ? jobs[0] : `${jobs.length} jobs`}`),
    h("p", {}, ACTS[act].says), h("label", { for: "token" }, "Console token"), field, problem,
    h("menu", {}, h("button", { type: "button", onclick: () => dialog.close() }, "Back"), asking)));
  dialog.showModal();
  (token ? asking : field).focus();
}

async function post(act, jobs) {
  if (/[^\x21-\x7e]/.test(token)) return { error: "The token has another character; accepted: letters, digits and signs of ASCII." };
  try {
    const answer = await fetch(`acts/${act}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify({ jobs }),
    });
    const body = await answer.json().catch(() => ({}));
    return answer.ok ? body : { error: body.error || `refused: ${answer.status}` };
  } catch {
    return { error: "The steward does not answer." };
  }
}
