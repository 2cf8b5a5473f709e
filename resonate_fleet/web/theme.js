// Light or dark: as the viewer has it, or the other one by the button. Paper is always light.

import { say } from "./dom.js";

const PAPER = 1500; // pixels of the width of a printed picture

// `changed(paper)`: colours are to be read again; `paper` is the width of a page, or null.
export function themes(button, changed) {
  const root = document.documentElement;
  const set = (theme, paper = null) => {
    root.dataset.theme = theme;
    say(button, theme === "dark" ? "Light" : "Dark");
    changed(paper);
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const own = () => (scheme.matches ? "dark" : "light");
  let before = own();
  scheme.addEventListener("change", () => set(own()));
  button.addEventListener("click", () => set(root.dataset.theme === "dark" ? "light" : "dark"));
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    set("light", PAPER);
  });
  addEventListener("afterprint", () => set(before));
  set(before);
}
