// One operation: its calls and waits as bars on a line of time, and as a list in words.

const GANTT = { left: 64, right: 8, row: 26, top: 18, axis: 22 };
const TICKS = [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200];

/** Pairs calls with what became of them, and waits with what ended them. */
function spansOf(operation) {
  const found = [];
  const open = new Map();
  let step = "";
  operation.moments.forEach((moment, index) => {
    if (moment.what === "called") {
      const call = {
        kind: "call",
        step: moment.step,
        from: moment.at,
        until: null,
        what: "",
        why: "",
      };
      open.set(moment.step, call);
      found.push(call);
      step = moment.step;
    } else if (moment.what === "waits") {
      const rest = operation.moments.slice(index + 1);
      const next = rest.find((one) => one.what === "called")?.step ?? step;
      const until = rest[0]?.at ?? overview.end;
      found.push({
        kind: "wait",
        step: next,
        from: moment.at,
        until,
        why: moment.why,
        allowed: moment.until,
      });
    } else if (moment.step) {
      const call = open.get(moment.step);
      if (call) Object.assign(call, { until: moment.at, what: moment.what, why: moment.why });
      open.delete(moment.step);
    } else {
      found.push({
        kind: "end",
        step: "",
        from: moment.at,
        until: moment.at,
        what: moment.what,
        why: moment.why,
      });
    }
  });
  return found;
}

/** Draws the calls and waits of an operation, a row a step. */
function gantt(operation, content, width) {
  const spans = spansOf(operation).filter((one) => one.kind !== "end");
  const steps = [...new Set(spans.map((one) => one.step))];
  const end = operation.endedAt ?? overview.end;
  const length = Math.max(10, end - operation.submittedAt);
  const [from, until] = [
    operation.submittedAt - 0.02 * length,
    operation.submittedAt + 1.04 * length,
  ];
  const x = (at) =>
    GANTT.left + ((at - from) / (until - from)) * (width - GANTT.left - GANTT.right);
  const foot = GANTT.top + GANTT.row * steps.length;
  const drawing = draw("svg", { role: "img", class: "gantt", width, height: foot + GANTT.axis });
  drawing.setAttribute("aria-label", `${operation.key}, drawn: the list says the same in words`);
  drawing.append(...ticks(from, until, x, foot));
  for (const event of content.events.filter((one) => one.at > from && one.at < until)) {
    const line = draw("line", {
      class: "event",
      x1: x(event.at),
      x2: x(event.at),
      y1: 4,
      y2: foot,
    });
    line.append(draw("title", {}, `${clock(event.at)} ${event.title}`));
    drawing.append(line);
  }
  if (operation.deadlineAt < until) drawing.append(...deadline(operation, x, foot, width));
  steps.forEach((step, row) => {
    const y = GANTT.top + GANTT.row * row;
    drawing.append(draw("text", { class: "row", x: 0, y: y + 16 }, step || "all"));
    const mine = spans.filter((one) => one.step === step);
    // Waits first: a call of a moment must not vanish under one of an hour.
    for (const kind of ["wait", "call"]) {
      drawing.append(...mine.filter((one) => one.kind === kind).map((one) => bar(one, x, y)));
    }
  });
  return drawing;
}

function bar(one, x, y) {
  const until = one.until ?? overview.end;
  const width = Math.max(one.kind === "call" ? 3 : 1, x(until) - x(one.from));
  const tone =
    one.kind === "wait" ? "waits" : one.what === "ok" ? "ok" : one.what ? "failed" : "open";
  const [top, height] = one.kind === "wait" ? [y + 9, 6] : [y + 4, 16];
  const said = one.kind === "wait" ? `waits ${span(until - one.from)}: ${one.why}` : called(one);
  const shape = draw("rect", { class: `span ${tone}`, x: x(one.from), y: top, width, height });
  shape.append(draw("title", {}, `${clock(one.from, true)} ${said}`));
  return shape;
}

function deadline(operation, x, foot, width) {
  const at = x(operation.deadlineAt);
  const isLate = at > width - 70;
  const label = { class: isLate ? "muted end" : "muted", x: at + (isLate ? -4 : 4), y: 11 };
  return [
    draw("line", { class: "deadline", x1: at, x2: at, y1: 2, y2: foot }),
    draw("text", label, "deadline"),
  ];
}

function ticks(from, until, x, foot) {
  const room = (x(until) - x(from)) / 76;
  const step = TICKS.find((one) => (until - from) / one <= room) ?? 86400;
  const parts = [draw("line", { class: "base", x1: x(from), x2: x(until), y1: foot, y2: foot })];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) {
    parts.push(
      draw("line", { class: "grid", x1: x(at), x2: x(at), y1: GANTT.top, y2: foot }),
      draw(
        "text",
        { class: "muted", x: x(at), y: foot + 15, "text-anchor": "middle" },
        clock(at, step < 60),
      ),
    );
  }
  return parts;
}

// --- in words

function called(one) {
  if (!one.what) return `${one.step} called, and under way when the drill ended`;
  const took = span(one.until - one.from);
  if (one.what === "ok") return `${one.step} called: ok after ${took}`;
  return `${one.step} called: ${one.what} after ${took}${one.why ? `, ${one.why}` : ""}`;
}

/** Lists what happened to an operation, in order, each with its instant. */
function storyOf(operation, content) {
  const lines = spansOf(operation).map((one) => ({
    at: one.from,
    ...line(one, operation, content),
  }));
  const place = regionOf.get(operation.region)?.title ?? operation.region;
  const way = operation.way ? `, reads ${operation.way}` : "";
  return [
    {
      at: operation.submittedAt,
      tone: "",
      text: `asked for: ${overview.fleets[operation.fleet] ?? operation.fleet} in ${place}${way}`,
    },
    ...lines,
  ];
}

function line(one, operation, content) {
  if (one.kind === "call") return { tone: one.what === "ok" ? "ok" : "failed", text: called(one) };
  if (one.kind === "end")
    return { tone: one.what, text: `${one.what}${one.why ? `: ${one.why}` : ""}` };
  const why = one.why ? ` ${one.why}` : "";
  return {
    tone: "waits",
    text: `waits ${span(one.until - one.from)}${why}${held(one, operation, content)}`,
  };
}

/** Says which governor held an operation longer than it had to wait by itself. */
function held(one, operation, content) {
  const service = overview.services[one.step];
  const name = `${service}@${operation.region}`;
  const governor = content.governors[name];
  if (!operation.isCovered || !governor || one.until - (one.allowed ?? one.from) < overview.every)
    return "";
  const at = (one.allowed ?? one.from) + overview.every;
  return `. Its governor, ${name}, then: ${words(governor, at)}`;
}
