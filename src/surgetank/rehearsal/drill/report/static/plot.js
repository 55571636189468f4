// Plots over time that zoom, drawn by uPlot: a panel is one quantity, a line a region or a part.

const PANEL = { height: 84, head: 6, outages: 12, axis: 22, gutter: 46, right: 10 };
/** Minutes over which counts are averaged: at night a replica sees two or three calls a minute. */
const AVERAGED = 5;

/** Averages a column over the last minutes: each row stands for what came before it. */
function averaged(column) {
  let sum = 0;
  return column.map((value, row) => {
    sum += value - (row >= AVERAGED ? column[row - AVERAGED] : 0);
    return sum / Math.min(row + 1, AVERAGED);
  });
}

/** Divides one column by another over the last minutes, in per cent; null where nothing was. */
function shares(parts, wholes) {
  const part = averaged(parts);
  return averaged(wholes).map((whole, row) => (whole > 0 ? (100 * part[row]) / whole : null));
}

function difference(whole, part) {
  return whole.map((value, row) => value - part[row]);
}

const PER_MINUTE = "a minute, mean of 5";
/** What can be shown of every region, each in a panel. */
const BY_REGION = [
  { title: "Backlog", unit: "operations that wait", of: (one) => one.backlog },
  { title: "Reads refused", unit: PER_MINUTE, of: (one) => averaged(one.reads_refused) },
  {
    title: "Offered load",
    unit: `calls for tokens ${PER_MINUTE}`,
    of: (one) => averaged(one.tokens_offered),
  },
  {
    title: "Goodput",
    unit: `tokens got ${PER_MINUTE}`,
    of: (one) => averaged(difference(one.tokens_tried, one.tokens_failed)),
  },
  {
    title: "Token errors",
    unit: "% of tries in 5 minutes",
    most: 100,
    of: (one) => shares(one.tokens_failed, one.tokens_tried),
    outages: true,
  },
];
/** What can be shown of one dependency, by its service. */
const OF_SERVICE = {
  identity: [
    {
      title: "Calls",
      unit: PER_MINUTE,
      parts: [
        ["offered", "reads", (one) => averaged(one.tokens_offered)],
        ["served", "region-0", (one) => averaged(one.tokens_served)],
        [
          "got in time",
          "region-5",
          (one) => averaged(difference(one.tokens_tried, one.tokens_failed)),
        ],
      ],
    },
    {
      title: "Queue",
      unit: "seconds until a call would start",
      parts: [["queue", "region-1", (one) => one.queue_s]],
    },
    {
      title: "Live capacity",
      unit: "% of the nodes at the start, warm",
      parts: [["live", "region-2", (one) => one.live_ratio.map((ratio) => 100 * ratio)]],
    },
    {
      title: "Token errors",
      unit: "% of tries in 5 minutes",
      most: 100,
      parts: [["failed", "creates", (one) => shares(one.tokens_failed, one.tokens_tried)]],
    },
  ],
  artifacts: [
    {
      title: "Reads",
      unit: PER_MINUTE,
      parts: [
        ["asked for", "reads", (one) => averaged(one.reads)],
        ["refused", "creates", (one) => averaged(one.reads_refused)],
      ],
    },
  ],
};

/** Lists the panels of a look: all regions (an empty name), or one dependency. */
function panelsOf(content, look) {
  const { regions } = content.series;
  if (!look) {
    return BY_REGION.map((panel) => ({
      ...panel,
      lines: overview.regions.map((region) => ({
        name: region.title,
        tone: region.tone,
        values: panel.of(regions[region.name]),
        outages: panel.outages ? (content.tokens[region.name] ?? []) : [],
      })),
    }));
  }
  const [service, region] = look.split("@");
  const panels = (OF_SERVICE[service] ?? []).map((panel) => ({
    ...panel,
    lines: panel.parts.map(([name, tone, of]) => ({
      name,
      tone,
      values: of(regions[region]),
      outages: [],
    })),
  }));
  const governor = content.governors[look];
  if (governor) {
    const before = Array(governor.first).fill(null);
    const values = [...before, ...governor.rates.map((rate) => (rate === null ? null : 60 * rate))];
    const lines = [{ name: "pace", tone: "region-3", values, outages: [] }];
    panels.push({
      title: "Pace of the backlog",
      unit: "calls a minute that its governor allows",
      lines,
    });
  }
  return panels;
}

function largest(panel) {
  return panel.lines.reduce(
    (most, line) => line.values.reduce((one, value) => Math.max(one, value ?? 0), most),
    0,
  );
}

/** Rounds up to 1, 2 or 5 times a power of ten, so that the axis ends on a round figure. */
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return power * [1, 2, 5, 10].find((step) => step * power >= (value || 1));
}

/** Reads a colour of the style sheet as it is now, light or dark. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function toneColour(tone) {
  return colour({ reads: "grey", creates: "orange", tokens: "slate" }[tone] ?? tone);
}

/**
 * Draws one panel into an element.
 * @param {object} panel with `lines` and `top`, the end of its axis
 * @param {object} view the shared time: `from`, `until`, and what to call when they change
 */
function plot(element, content, panel, view, { isLast }) {
  const muted = colour("muted");
  const font = "11px system-ui, sans-serif";
  const grid = { stroke: colour("line"), width: 0.5 };
  const head = panel.outages ? PANEL.outages : PANEL.head;
  return new uPlot(
    {
      width: element.clientWidth,
      height: head + PANEL.height + (isLast ? PANEL.axis : 4),
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      padding: [head, PANEL.right, 0, 0],
      legend: { show: false },
      scales: { x: { min: view.from, max: view.until, auto: false }, y: { range: [0, panel.top] } },
      axes: [
        {
          stroke: muted,
          font,
          grid,
          ticks: { show: false },
          size: isLast ? PANEL.axis : 4,
          gap: 3,
          space: 64,
          values: (_, splits) => splits.map((at) => (isLast ? clock(at) : "")),
        },
        {
          stroke: muted,
          font,
          grid,
          ticks: { show: false },
          size: PANEL.gutter,
          gap: 4,
          splits: [0, panel.top / 2, panel.top],
          values: (_, splits) => splits.map(figure),
        },
      ],
      series: [
        {},
        ...panel.lines.map((line) => ({
          label: line.name,
          stroke: toneColour(line.tone),
          width: 1.5,
          points: { show: false },
          paths: uPlot.paths.stepped({ align: -1 }),
        })),
      ],
      cursor: {
        y: false,
        points: { size: 5 },
        move: (self, left, top) => [left < 0 ? left : nearest(self, left), top],
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => view.zoom(overview.start, overview.end) },
      },
      hooks: {
        drawClear: [(self) => drawEvents(self, content.events)],
        draw: [(self) => drawOutages(self, panel)],
        setCursor: [(self) => view.point(self)],
        setSelect: [(self) => view.select(self)],
      },
    },
    [content.series.at, ...panel.lines.map((line) => line.values)],
    element,
  );
}

/** Moves the cursor to the nearest minute, as in all other plots. */
function nearest(self, left) {
  return self.valToPos(self.data[0][self.posToIdx(left)], "x");
}

/** Draws a line down the panel for everything that happened. */
function drawEvents(self, events) {
  const { ctx, bbox } = self;
  ctx.save();
  ctx.strokeStyle = colour("muted");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const event of events) {
    if (event.at < self.scales.x.min || event.at > self.scales.x.max) continue;
    const x = Math.round(self.valToPos(event.at, "x", true)) + 0.5;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** Draws outages that emerged as bars above the plot, one row a region. */
function drawOutages(self, panel) {
  const { ctx, bbox } = self;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
  ctx.clip();
  const failing = panel.lines.filter((line) => line.outages.length);
  failing.forEach((line, row) => {
    ctx.fillStyle = toneColour(line.tone);
    for (const [start, end] of line.outages) {
      const left = self.valToPos(start, "x", true);
      const width = Math.max(1, self.valToPos(end, "x", true) - left);
      ctx.fillRect(left, bbox.top - (row + 1) * 4 * devicePixelRatio, width, 3 * devicePixelRatio);
    }
  });
  ctx.restore();
}
