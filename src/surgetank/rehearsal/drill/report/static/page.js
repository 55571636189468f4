// Where it begins. Everything below is an addition: without it the page says all that it knows.

/** Shows what lies under the mouse on the first drawing. */
function readings(section) {
  const index = overview.variants.findIndex((one) => one.name === overview.shown);
  const tip = make("div", { className: "tip", hidden: true, "aria-hidden": "true" });
  section.querySelector("figure").append(tip);
  for (const drawing of section.querySelectorAll("svg")) {
    const foot = drawing.viewBox.baseVal;
    const [left, right] = [
      Number(drawing.dataset.left),
      foot.width - Number(drawing.dataset.right),
    ];
    const line = draw("line", {
      class: "moment",
      y1: 0,
      y2: foot.height - 34,
      visibility: "hidden",
    });
    drawing.append(line);
    drawing.addEventListener("pointermove", async (event) => {
      const { series } = await load(index);
      const box = drawing.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * foot.width;
      const share = (x - left) / (right - left);
      const at = overview.start + share * (overview.end - overview.start);
      const row = Math.floor((at - overview.start) / overview.every);
      const isOver = share >= 0 && row in series.at;
      tip.hidden = !isOver;
      line.setAttribute("visibility", isOver ? "visible" : "hidden");
      if (!isOver) return;
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      tip.replaceChildren(
        ...readingsAt(series, row).map((text) => make("div", { textContent: text })),
      );
      const edge = section.getBoundingClientRect();
      const isRight = event.clientX - edge.left > edge.width / 2;
      tip.style.left = isRight ? "" : `${event.clientX - edge.left + 14}px`;
      tip.style.right = isRight ? `${edge.right - event.clientX + 14}px` : "";
      tip.style.top = `${event.clientY - tip.parentElement.getBoundingClientRect().top + 10}px`;
    });
    drawing.addEventListener("pointerleave", () => {
      tip.hidden = true;
      line.setAttribute("visibility", "hidden");
    });
  }
}

function readingsAt(series, row) {
  const all = Object.values(series.regions);
  const sum = (column) => all.reduce((total, one) => total + column(one)[row], 0);
  const errors = overview.regions.map((region) => {
    const one = series.regions[region.name];
    const value = shares(one.tokens_failed, one.tokens_tried)[row];
    return `tokens failed, ${region.title}: ${value === null ? "none tried" : `${figure(value)}%`}`;
  });
  return [
    `${clock(series.at[row])} UTC`,
    `reads refused: ${figure(sum((one) => averaged(one.reads_refused)))} a minute`,
    `creates waiting: ${figure(sum((one) => one.backlog))}`,
    ...errors,
  ];
}

if ("DecompressionStream" in window) {
  readings(document.querySelector("section.outage"));
  const browser = document.querySelector("section.operations");
  if (browser) operations(browser);
  if ("uPlot" in window) {
    timelines(document.querySelector("section.timelines"));
    document.querySelector('nav a[href="#timelines"]').parentElement.hidden = false;
  }
}
