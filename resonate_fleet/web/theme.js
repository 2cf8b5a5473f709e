// Light or dark: as the viewer has it, or the other one by the button, also after a reload. Paper is always light.

import { choice, choose, say } from "./dom.js";

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
  const wanted = () => (["light", "dark"].includes(choice("theme")) ? choice("theme") : own());
  let before = wanted();
  scheme.addEventListener("change", () => set(wanted()));
  button.addEventListener("click", () => {
    const other = root.dataset.theme === "dark" ? "light" : "dark";
    choose("theme", other === own() ? null : other);
    set(other);
  });
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    set("light", PAPER);
  });
  addEventListener("afterprint", () => set(before));
  set(before);
}
