// The one table of what may become of an attempt: its words, and how its bar differs without colour.

export const OUTCOMES = {
  running: { words: "running", colour: "--blue", kind: null },
  resolved: { words: "brought the result", colour: "--blue", kind: null },
  again: { words: "taken up again", colour: "--green", kind: null },
  suspended: { words: "suspended, resumes later", colour: "--sky", kind: "dots" },
  released: { words: "handed back", colour: "--orange", kind: "falling" },
  cut: { words: "cut off: its member died", colour: "--red", kind: "crossed" },
  lost: { words: "lease lost", colour: "--purple", kind: "rising" },
  rejected: { words: "ended with an error", colour: "--ink", kind: "lines" },
  cancelled: { words: "cancelled", colour: "--gap", kind: "lines" },
  open: { words: "no end known", colour: "--gap", kind: "dots" },
};

const SAME = {
  died: "cut",
  "handed over": "cut",
  "handed-over": "cut",
  "handed back": "released",
  refused: "lost",
  lapsed: "lost",
  failed: "rejected",
  done: "resolved",
  "unknown-function": "released",
  unknown: "open",
};

export function outcomeOf(word) {
  const known = SAME[word] || word;
  return known in OUTCOMES ? known : "resolved";
}

// An attempt that ended so is taken up again by somebody.
export const INTERRUPTED = new Set(["cut", "lost", "released"]);

// How interrupted work came to its next member.
export const WAYS = {
  "handed-over": { words: "handed over by the steward", colour: "--green", dash: [] },
  released: { words: "handed back", colour: "--orange", dash: [5, 3] },
  lapsed: { words: "lease lapsed", colour: "--purple", dash: [2, 3] },
};

export const wayOf = (outcome) => ({ cut: "handed-over", lost: "lapsed" })[outcome] ?? "released";

// What happened to a member or a job: words, colour, and the lines of its sign around 0 0.
export const MARKS = {
  joined: { words: "joined", colour: "--soft", path: "M0 -6V6" },
  left: { words: "left in order", colour: "--soft", path: "M0 -6V6M0 0H-6" },
  died: { words: "died", colour: "--red", path: "M-5 -5L5 5M-5 5L5 -5" },
  "handed-over": { words: "handed over", colour: "--green", path: "M-5 0L0 -5L5 0L0 5Z" },
  lapsed: { words: "lease lapsed", colour: "--purple", path: "M0 -7V-2M0 2V7" },
  draining: { words: "drains", colour: "--orange", path: "M-4 -5H4L0 4Z" },
  "false-alarm": { words: "came back", colour: "--green", path: "M0 -6V6M0 0H6" },
  redriven: { words: "redriven", colour: "--green", path: "M-3 -5L4 0L-3 5" },
  parked: { words: "parked", colour: "--ink", path: "M-3 -5V5M3 -5V5" },
  cancelled: { words: "cancelled", colour: "--ink", path: "M-5 0H5" },
};

// Faults that chaos caused; their signs stand on a disc. `contract/faults.py` has them.
// begin signs: written by `python -m tools.docs --write`

export const FAULTS = {
  kill: "M-3 -3L3 3M3 -3L-3 3",
  "out-of-memory": "M-3 3V-2H3V3M-3 0.5H3",
  "kill-with-steward": "M-4 -3L0 3M0 -3L-4 3M2.6 -3V3",
  terminate: "M-3.2 -1.5L0 2.5L3.2 -1.5",
  pause: "M-1.7 -3V3M1.7 -3V3",
  partition: "M-4 0H-1.6M1.6 0H4M-0.6 3.4L0.6 -3.4",
  "server-restart": "M3 -1A3.2 3.2 0 1 0 3 1.6M3.2 -3.6V-0.8H0.6",
  "steward-kill": "M-2.5 3L0 -3.2L2.5 3M-1.6 1H1.6",
  "rolling-restart": "M-3.4 0A3.4 3.4 0 0 1 3 -1.6M3.4 0A3.4 3.4 0 0 1 -3 1.6",
  scale: "M0 -3.6V3.6M-2.2 -1.6L0 -3.6L2.2 -1.6M-2.2 1.6L0 3.6L2.2 1.6",
};

// end signs
