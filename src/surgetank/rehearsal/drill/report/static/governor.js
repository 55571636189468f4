// What a governor did over time: a strip of states with their names, and in words why it holds.

const STRIP = { height: 16, letter: 6.6 };

/** Names a mode as people do, and says what it means. */
function modeOf(mode) {
  return overview.modes[mode] ?? [mode, mode];
}

/** Names the dependencies to show: the one looked at, or all whose governor ever held something. */
function governed(content, look) {
  const names = Object.keys(content.governors);
  if (look) return names.filter((name) => name === look);
  return names.filter((name) =>
    content.governors[name].stretches.some((one) => !overview.untried.includes(one.mode)),
  );
}

/** Makes the strip of one dependency; `draw` follows the zoom, `say` the moment. */
function strip(dependency, governor, view) {
  const said = make("span", { className: "said" });
  const drawing = draw("svg", { role: "img", class: "strip", height: STRIP.height });
  drawing.setAttribute("aria-label", `${dependency}: ${summary(governor.stretches)}`);
  const head = make(
    "p",
    { className: "strip-head" },
    make("code", { textContent: dependency }),
    " ",
    said,
  );
  return {
    element: make("div", {}, head, drawing),
    draw: () => drawStrip(drawing, governor.stretches, view),
    say: (at) => {
      said.textContent = words(governor, at);
    },
  };
}

function summary(all) {
  const total = new Map();
  for (const { mode, from, until } of all) {
    const [word] = modeOf(mode);
    total.set(word, (total.get(word) ?? 0) + until - from);
  }
  return [...total].map(([word, duration]) => `${word} ${span(duration)}`).join(", ");
}

/** Joins neighbours of one name: what they wait for is said for the moment, not drawn. */
function joinedByWord(all) {
  const found = [];
  for (const one of all) {
    const [word] = modeOf(one.mode);
    const last = found.at(-1);
    if (last?.word === word) last.until = one.until;
    else found.push({ word, from: one.from, until: one.until });
  }
  return found;
}

function drawStrip(drawing, all, view) {
  const width = drawing.parentElement.clientWidth;
  const room = width - PANEL.gutter - PANEL.right;
  const x = (at) => PANEL.gutter + ((at - view.from) / (view.until - view.from)) * room;
  drawing.setAttribute("width", width);
  drawing.replaceChildren();
  for (const { word, from, until } of joinedByWord(all)) {
    const left = Math.max(PANEL.gutter, x(from));
    const wide = Math.min(PANEL.gutter + room, x(until)) - left;
    if (wide <= 0) continue;
    const group = draw("g", { class: `state ${word}` });
    group.append(draw("rect", { x: left, y: 0, width: Math.max(1, wide), height: STRIP.height }));
    if (wide > STRIP.letter * (word.length + 1)) {
      group.append(draw("text", { x: left + 4, y: 12 }, word));
    }
    drawing.append(group);
  }
}

/** Says what a governor does at an instant, since when, and what it waits for. */
function words(governor, at) {
  const index = governor.stretches.findIndex((one) => one.from <= at && at <= one.until);
  if (index < 0) return "nothing was asked of it yet";
  const { mode, from, until, waits, takes } = governor.stretches[index];
  const [word, meaning] = modeOf(mode);
  const rate = governor.rates[Math.round((at - governor.stretches[0].from) / overview.every) - 1];
  const isPaced = !["open", "half_open"].includes(mode) && typeof rate === "number";
  const pace = isPaced ? `, now ${figure(60 * rate)} a minute` : "";
  const far = takes ? `, at ${clock(from)}: ${takes}` : "";
  return `${word} ${clock(from)}-${clock(until)}: ${meaning}${pace}; waits for ${waits}${far}`;
}
