// What is told of a job: on pointing at it, and in the list of interrupted jobs.

const byJob = new Map();
run.bars.forEach((bar, i) => {
  const known = byJob.get(bar[5]);
  if (known) known.push(i); else byJob.set(bar[5], [i]);
});
for (const bars of byJob.values()) bars.sort((a, b) => run.bars[a][2] - run.bars[b][2]);
const recoveryOf = new Map(run.recoveries.map((one) => [one.bar, one]));

function attemptLine(i) {
  const [lane, , begin, end, look, , number, child] = run.bars[i];
  const one = recoveryOf.get(i);
  let words = `claim ${number}${child ? " of " + escaped(child) : ""} by <b>${escaped(run.lanes[lane].name)}</b>, `;
  words += `${seconds(begin)} to ${seconds(end)}: ${LOOKS[look] || look}`;
  if (one) words += recoveryWords(one);
  return `<li>${words}</li>`;
}

function recoveryWords(one) {
  const struck = one.cause in GLYPHS ? ` (${one.cause})` : "";
  if (one.seconds === null) return `${struck}; nobody took it up again`;
  const predicted = `predicted ${short(one.low)} to ${short(one.high)} s`;
  return `${struck}; ${WAYS[one.way]}, taken up after <b>${short(one.seconds)} s</b>, ${predicted}`;
}

function story(index) {
  const [id, called, cost, created, settled, state] = run.jobs[index];
  const bars = byJob.get(index) || [];
  const asked = cost === null ? "" : `, ${short(cost)} s of work`;
  let text = `<b>${escaped(id)}</b><br><span class="soft">${escaped(called)}${asked}</span>`;
  const items = bars.slice(0, 12).map(attemptLine);
  if (created !== null) items.unshift(`<li>sent at ${seconds(created)}</li>`);
  if (settled !== null && created !== null) items.push(`<li>${escaped(state)} ${seconds(settled - created)} after it was sent</li>`);
  else items.push(`<li><b>no end</b> (${escaped(state)})</li>`);
  const parked = run.parked.find((one) => one.job === index);
  if (parked) items.push(`<li><b>parked</b> at ${seconds(parked.at)}, after ${parked.crashes} crashes</li>`);
  return text + `<ol>${items.join("")}</ol>`;
}

function strikeStory(strike) {
  const held = strike.held.length ? strike.held.slice(0, 6).map(escaped).join(", ") : "nothing";
  const healed = strike.healed === null ? "" : `, undone at ${seconds(strike.healed)}`;
  return `<b>strike ${strike.number}: ${escaped(strike.fault)}</b> of ${escaped(strike.target)}<br>` +
    `at ${seconds(strike.at)}${healed}<br>it held ${held}`;
}

function listStories() {
  const jobs = [...new Set(run.recoveries.map((one) => run.bars[one.bar][5]))].slice(0, 40);
  const rows = jobs.map((job) => {
    const lines = (byJob.get(job) || []).slice(0, 12).map(attemptLine).join("");
    return `<tr><td><code>${escaped(run.jobs[job][0])}</code></td><td><ol class="story">${lines}</ol></td></tr>`;
  });
  const none = "<p class='hint'>None was.</p>";
  document.getElementById("stories").innerHTML = rows.length ? `<table><tbody>${rows.join("")}</tbody></table>` : none;
}

function listenForPointing() {
  const tip = document.getElementById("tip");
  const area = document.getElementById("lanes");
  let mine = [];
  const leave = () => {
    tip.hidden = true;
    mine.forEach((bar) => bar.classList.remove("mine"));
    mine = [];
  };
  area.addEventListener("pointermove", (event) => {
    const bar = event.target.closest(".bar");
    const strike = event.target.closest(".strike");
    leave();
    if (!bar && !strike) return;
    tip.innerHTML = bar ? story(run.bars[bar.dataset.i][5]) : strikeStory(run.strikes[strike.dataset.k]);
    if (bar) {
      const all = document.getElementById("bars").children;
      mine = byJob.get(run.bars[bar.dataset.i][5]).map((i) => all[i]);
      mine.forEach((one) => one.classList.add("mine"));
    }
    tip.hidden = false;
    const [wide, tall] = [tip.offsetWidth, tip.offsetHeight];
    tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - wide - 8)) + "px";
    tip.style.top = (event.clientY + 18 + tall > innerHeight ? Math.max(8, event.clientY - tall - 14) : event.clientY + 18) + "px";
  });
  area.addEventListener("pointerleave", leave);
}
