// The timelines: one or two variants side by side, on one time and one moment that all follow.

/** Fills the section, and shows it. */
function timelines(section) {
  const names = overview.variants.map((one) => one.name);
  const whole = [overview.start, overview.end];
  const state = {
    shown: names.indexOf(overview.shown),
    beside:
      section.ownerDocument.defaultView.innerWidth < 860 ? -1 : names.indexOf(overview.beside),
    look: "",
    moment: null,
  };
  const view = { from: whole[0], until: whole[1], zoom, point, select };
  const columns = make("div", { className: "columns" });
  const slider = make("input", { type: "range", step: overview.every });
  const time = make("output");
  const seen = make("output", { className: "seen" });
  const toolbar = make("div", { className: "toolbar", role: "group", "aria-label": "Timelines" });
  let panels = [];
  let strips = [];
  let latest = 0;

  slider.addEventListener("input", () => pointAt(Number(slider.value)));
  section.append(make("p", { className: "muted", textContent: INTRODUCTION }), toolbar, columns);
  section.hidden = false;
  new ResizeObserver(fit).observe(columns);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  controls();
  seen.textContent = `${clock(view.from)}-${clock(view.until)}`;
  return refresh();

  function controls() {
    const variants = overview.variants.map((one, index) => [String(index), one.title]);
    const set = (key) => (value) => {
      state[key] = Number(value);
      refresh();
    };
    toolbar.replaceChildren(
      choice("Variant", variants, String(state.shown), set("shown")),
      choice("Beside", [["-1", "none"], ...variants], String(state.beside), set("beside")),
      choice("Look at", looks(), state.look, (value) => {
        state.look = value;
        refresh();
      }),
      make(
        "label",
        { className: "choice moment" },
        make("span", { textContent: "Moment" }),
        slider,
        time,
      ),
      make(
        "span",
        { className: "buttons" },
        button("Zoom in", () => scale(0.5)),
        button("Zoom out", () => scale(2)),
        button("All", () => zoom(...whole)),
        seen,
      ),
    );
  }

  /** Loads what is chosen and draws it; what was asked for later wins. */
  async function refresh() {
    const turn = (latest += 1);
    const chosen = [state.shown, ...(state.beside < 0 ? [] : [state.beside])];
    const contents = await Promise.all(chosen.map(load));
    if (turn !== latest) return;
    for (const { chart } of panels) chart.destroy();
    [panels, strips] = [[], []];
    const listed = contents.map((content) => panelsOf(content, state.look));
    listed.flat().forEach((panel) => {
      const alike = listed.flat().filter((one) => one.title === panel.title);
      panel.top = panel.most ?? rounded(Math.max(...alike.map(largest)));
    });
    // All columns first: how many there are decides how wide they are.
    const elements = contents.map(() => make("div", { className: "column" }));
    columns.replaceChildren(...elements);
    contents.forEach((content, index) =>
      column(elements[index], content, chosen[index], listed[index]),
    );
    const { at } = contents[0].series;
    if (!at.length) return;
    await settled();
    Object.assign(slider, { min: at[0], max: at.at(-1) });
    pointAt(state.moment ?? peak(contents[0]));
  }

  function column(element, content, index, listed) {
    const { title, seed } = overview.variants[index];
    content.events = eventsOf(content.acted);
    element.append(
      make("h3", {}, `${title} `, make("small", { textContent: `seed ${seed}` })),
      make(
        "p",
        { className: "events" },
        ...content.events.map((event) =>
          button(`${clock(event.at)} ${event.title}`, () => pointAt(event.at)),
        ),
      ),
    );
    listed.forEach((panel, row) => {
      const values = make("span", { className: "values" });
      const canvas = make("div", { role: "img", "aria-label": described(content, panel) });
      const head = make(
        "p",
        { className: "plot-head" },
        make("b", { textContent: panel.title }),
        make("span", { className: "muted", textContent: panel.unit }),
        values,
      );
      element.append(make("div", { className: "plot" }, head, canvas));
      const chart = plot(canvas, content, panel, view, { isLast: row === listed.length - 1 });
      panels.push({ chart, panel, values, at: content.series.at });
    });
    governors(element, content);
    if (!listed.length && !content.governors[state.look]) {
      const nothing = "Nothing is known of it over time in this variant: it has no governor.";
      element.append(make("p", { className: "muted", textContent: nothing }));
    }
  }

  function governors(element, content) {
    const named = governed(content, state.look);
    const total = Object.keys(content.governors).length;
    if (!total) return;
    element.append(make("h4", { textContent: "Governors" }));
    for (const name of named) {
      const one = strip(name, content.governors[name], view);
      element.append(one.element);
      strips.push(one);
      one.draw();
    }
    const quiet = total - named.length;
    if (quiet && !state.look) {
      const rest = `${count(quiet, named.length ? "other" : "governor")} never held anything back.`;
      element.append(make("p", { className: "muted", textContent: rest }));
    }
  }

  // --- time: what is seen, and the moment that all point at

  async function zoom(from, until) {
    const minute = (at) => Math.round(at / overview.every) * overview.every;
    view.from = Math.max(whole[0], minute(from));
    view.until = Math.min(whole[1], minute(until));
    for (const { chart } of panels) chart.setScale("x", { min: view.from, max: view.until });
    for (const one of strips) one.draw();
    seen.textContent = `${clock(view.from)}-${clock(view.until)}`;
    await settled();
    pointAt(Math.min(Math.max(state.moment, view.from), view.until));
  }

  /** Sees more or less time, around the moment. */
  function scale(factor) {
    const length = Math.max(10 * overview.every, factor * (view.until - view.from));
    const share = (state.moment - view.from) / (view.until - view.from);
    const from = Math.max(whole[0], Math.min(state.moment - share * length, whole[1] - length));
    zoom(from, from + length);
  }

  /** Follows the mouse on one panel; when it leaves, the moment stays. */
  function point(chart) {
    if (chart.cursor.idx === null || chart.cursor.idx === undefined) place(chart);
    else pointAt(chart.data[0][chart.cursor.idx], chart);
  }

  function select(chart) {
    const { left, width } = chart.select;
    if (width > LEAST_DRAG) zoom(chart.posToVal(left, "x"), chart.posToVal(left + width, "x"));
    chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  function pointAt(at, moved = null) {
    state.moment = at;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${clock(at)} UTC`);
    time.textContent = `${clock(at)} UTC`;
    for (const one of panels) {
      if (one.chart !== moved) place(one.chart);
      readOff(one, at);
    }
    for (const one of strips) one.say(at);
  }

  function place(chart) {
    const isSeen = state.moment >= view.from && state.moment <= view.until;
    chart.setCursor({ left: isSeen ? chart.valToPos(state.moment, "x") : -10, top: 0 }, false);
  }

  async function fit() {
    for (const { chart } of panels) {
      const width = chart.root.parentElement.clientWidth;
      if (width && width !== chart.width) chart.setSize({ width, height: chart.height });
    }
    for (const one of strips) one.draw();
    await settled();
    if (panels.length && state.moment !== null) pointAt(state.moment);
  }
}

/** Waits until plots know their scales and sizes: uPlot sees to it after the present task. */
function settled() {
  return Promise.resolve();
}

/** Pixels below which a drag was a click. */
const LEAST_DRAG = 4;
const INTRODUCTION =
  "Drag over a plot to zoom, double-click for all of it; " +
  "the moment follows the mouse, or its slider. " +
  "Both columns have one scale. Dotted lines: what the scenario scripts and operators did.";

function button(text, onClick) {
  const element = make("button", { type: "button", textContent: text });
  element.addEventListener("click", onClick);
  return element;
}

/** Lists what can be looked at more closely. */
function looks() {
  const services = [...Object.keys(OF_SERVICE), "compute"];
  const found = overview.regions.flatMap((region) =>
    services.map((service) => `${service}@${region.name}`),
  );
  return [["", "all regions"], ...found.sort().map((name) => [name, name])];
}

/** Joins what happened in several regions in the same minute under one name. */
function eventsOf(acted) {
  const found = new Map();
  for (const [at, title] of acted) {
    const key = `${clock(at)} ${title}`;
    if (!found.has(key)) found.set(key, { at, title });
  }
  return [...found.values()];
}

/** Writes each line's value at an instant beside its name. */
function readOff({ panel, values, at }, instant) {
  const row = Math.min(Math.max(0, Math.round((instant - at[0]) / overview.every)), at.length - 1);
  values.replaceChildren(
    ...panel.lines.map((line) =>
      make(
        "span",
        { className: `value ${line.tone}` },
        `${line.name} `,
        make("b", { textContent: figure(line.values[row] ?? null) }),
      ),
    ),
  );
}

/** Finds the instant with the largest backlog: where to look first. */
function peak(content) {
  const columns = Object.values(content.series.regions).map((one) => one.backlog);
  const sums = content.series.at.map((_, row) => columns.reduce((sum, one) => sum + one[row], 0));
  return content.series.at[sums.indexOf(Math.max(...sums))];
}

/** Says in words what a panel shows, for those who do not see it. */
function described(content, panel) {
  const lines = panel.lines.map((line) => {
    const most = line.values.reduce((one, value) => Math.max(one, value ?? 0), 0);
    if (!most) return `${line.name} nothing`;
    const at = content.series.at[line.values.indexOf(most)];
    return `${line.name} at most ${figure(most)} at ${clock(at)}`;
  });
  return `${panel.title}, ${panel.unit}: ${lines.join(", ")}`;
}
