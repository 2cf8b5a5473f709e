// Draws everything once, and again when the width changes.

function drawAll() {
  drawLanes();
  drawCurves();
  drawRecovery();
  drawWaits();
  drawShares();
}

function listenForTheme() {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const set = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "light" : "dark";
  };
  set(matchMedia("(prefers-color-scheme: dark)").matches);
  button.addEventListener("click", () => set(root.dataset.theme !== "dark"));
}

listenForTheme();
drawLegend();
drawAll();
listStories();
listenForDrags();
listenForPointing();
addEventListener("beforeprint", () => {
  printed = { lanes: 1580, curves: 1580, recovery: 490, waits: 490, shares: 490 };
  drawAll();
});
addEventListener("afterprint", () => {
  printed = null;
  drawAll();
});
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) {
    width = innerWidth;
    drawAll();
  }
});
// Read by the test of this page: milliseconds from the first line of script to everything drawn.
document.documentElement.dataset.drawn = Math.round(performance.now() - began);
