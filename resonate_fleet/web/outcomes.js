// The one table of what may become of an attempt: its words, and how its bar differs without colour.

export const OUTCOMES = {
  running: { words: "running", colour: "--blue", pattern: null },
  resolved: { words: "brought the result", colour: "--blue", pattern: null },
  again: { words: "taken up again", colour: "--green", pattern: null },
  suspended: { words: "suspended, resumes later", colour: "--sky", pattern: "dots" },
  released: { words: "handed back", colour: "--orange", pattern: "falling" },
  cut: { words: "cut off: its member died", colour: "--red", pattern: "crossed" },
  lost: { words: "lease lost", colour: "--purple", pattern: "rising" },
  rejected: { words: "ended with an error", colour: "--ink", pattern: "lines" },
  cancelled: { words: "cancelled", colour: "--gap", pattern: "lines" },
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
};

export function outcomeOf(word) {
  const known = SAME[word] || word;
  return known in OUTCOMES ? known : "resolved";
}

// An attempt that ended so is taken up again by somebody.
export const INTERRUPTED = new Set(["cut", "lost", "released"]);

export const MARKS = {
  joined: "joined",
  left: "left in order",
  died: "died",
  "handed-over": "handed over",
  lapsed: "lease lapsed",
  draining: "drains",
  parked: "parked",
  cancelled: "cancelled",
};
