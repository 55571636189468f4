// What the page shows, unpacked: the other half of `payload.py`. Also how figures are written.

const overview = JSON.parse(document.getElementById("overview").textContent);
const regionOf = new Map(overview.regions.map((region) => [region.name, region]));
const unpacked = new Map();

/** Gives a variant's data; the work is done once, when somebody first looks. */
function load(index) {
  if (!unpacked.has(index)) {
    unpacked.set(index, unpack(document.getElementById(`variant-${index}`).textContent));
  }
  return unpacked.get(index);
}

async function unpack(element) {
  const bytes = Uint8Array.from(atob(JSON.parse(element)), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const content = await new Response(stream).json();
  for (const governor of Object.values(content.governors)) {
    governor.stretches = stretches(governor, content.series.at);
  }
  content.operations = operationsOf(content.operations);
  return content;
}

/** Gives a governor's states as stretches of time, in order. */
function stretches(governor, at) {
  return governor.changes.map((row, index) => {
    const next = governor.changes[index + 1] ?? governor.rows;
    return {
      from: at[governor.first + row] - overview.every,
      until: at[governor.first + next - 1],
      mode: governor.modes[index],
      waits: governor.waits[index],
      takes: governor.takes[index],
    };
  });
}

/** Makes rows of the columns, and instants (in seconds) of the differences (in tenths). */
function operationsOf(columns) {
  let submitted = 0;
  let place = 0;
  return columns.key.map((key, index) => {
    submitted += columns.submitted[index];
    let at = submitted;
    const moments = Array.from({ length: columns.moments[index] }, () => {
      at += columns.after[place];
      const [step, what, why] = columns.kinds[columns.kind[place]];
      const wait = columns.until[place];
      place += 1;
      return { at: seconds(at), step, what, why, until: wait < 0 ? null : seconds(at + wait) };
    });
    const took = columns.ended[index];
    return {
      key,
      moments,
      fleet: columns.fleets[columns.fleet[index]],
      region: columns.regions[columns.region[index]],
      way: columns.ways[columns.way[index]],
      fate: columns.fates[columns.fate[index]],
      isOwn: columns.own[index] === 1,
      isCovered: columns.covered[index] === 1,
      submittedAt: seconds(submitted),
      deadlineAt: seconds(submitted + columns.deadline[index]),
      endedAt: took < 0 ? null : seconds(submitted + took),
    };
  });
}

function seconds(tenths) {
  return tenths / overview.tenth;
}

// --- how figures are written; all times are UTC

const isLong = overview.end - overview.start > 86400;

function clock(at, withSeconds = false) {
  const text = new Date(at * 1000).toISOString();
  const day = isLong ? `${text.slice(8, 10)} ` : "";
  return day + text.slice(11, withSeconds ? 19 : 16);
}

/** Writes a duration: `4h02`, `12 min 5 s`, `40 s`, `<0.1 s`. */
function span(duration) {
  if (duration >= 3600) {
    const minutes = Math.round(duration / 60);
    return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, "0")}`;
  }
  if (duration >= 60) {
    const whole = Math.round(duration);
    return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  }
  if (duration >= 10) return `${Math.round(duration)} s`;
  return duration < 0.1 ? "<0.1 s" : `${duration.toFixed(1)} s`;
}

/** Writes a figure: thousands apart, and no more digits than it bears. */
function figure(value) {
  if (value === null) return "-";
  const digits =
    Math.abs(value) >= 10 || Number.isInteger(value) ? 0 : Math.abs(value) >= 1 ? 1 : 3;
  return value.toLocaleString("en-GB", { maximumFractionDigits: digits });
}

function count(quantity, noun) {
  return `${quantity.toLocaleString("en-GB")} ${noun}${quantity === 1 ? "" : "s"}`;
}

// --- elements

/** Makes an element of HTML: properties by their names, `aria-*` and `data-*` as attributes. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

const svgNamespace = document.querySelector("svg").namespaceURI;

/** Makes an element of SVG. */
function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Makes a choice with its label. */
function choice(label, options, chosen, onChange) {
  const select = make(
    "select",
    {},
    ...options.map(([value, text]) =>
      make("option", { value, textContent: text, selected: value === chosen }),
    ),
  );
  select.addEventListener("change", () => onChange(select.value));
  return make("label", { className: "choice" }, make("span", { textContent: label }), select);
}
