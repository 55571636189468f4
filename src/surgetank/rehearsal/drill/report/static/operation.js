// Operations one by one: a list to search and filter, and the one that is picked.

const WHOSE = [
  ["", "all", () => true],
  ["own", "yours", (one) => one.isOwn],
  ["covered", "under the safeguards", (one) => one.isCovered],
  ["others", "under none", (one) => !one.isCovered],
];
const PAGE_ROWS = 10;

/** Adds the browser to the section, and a button to each operation that the page tells of. */
function operations(section) {
  const state = { variant: 0, region: "", fleet: "", fate: "", whose: "", text: "", key: null };
  state.variant = overview.variants.findIndex((one) => one.name === overview.shown);
  const told = [...document.querySelectorAll("code[data-operation]")];
  // The last one told of the variant has been through most.
  state.key =
    told.findLast((code) => code.dataset.variant === overview.shown)?.dataset.operation ?? null;
  const toolbar = make("div", { className: "toolbar", role: "group", "aria-label": "Filters" });
  const found = make("output", { className: "found" });
  const list = make("div", {
    className: "list",
    role: "listbox",
    tabIndex: 0,
    "aria-label": "Operations",
  });
  const detail = make("div", {
    className: "detail",
    role: "region",
    tabIndex: 0,
    "aria-label": "The operation",
  });
  const search = make("input", {
    type: "search",
    placeholder: "part of its name",
    autocomplete: "off",
  });
  let content = null;
  let rows = [];
  let latest = 0;

  search.addEventListener("input", () => {
    state.text = search.value.trim().toLowerCase();
    filter();
  });
  list.addEventListener("keydown", onKey);
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) pick(rows[Number(option.dataset.row)]);
  });
  section.append(toolbar, make("div", { className: "split" }, list, detail));
  new ResizeObserver(show).observe(detail);
  tellingButtons();
  return open();

  function controls() {
    const { operations: all } = content;
    const distinct = (key) => [...new Set(all.map((one) => one[key]))].sort();
    const any = (key, title = (name) => name) => [
      ["", "all"],
      ...distinct(key).map((name) => [name, title(name)]),
    ];
    const set = (key) => (value) => {
      state[key] = value;
      filter();
    };
    const variants = overview.variants.map((one, index) => [String(index), one.title]);
    toolbar.replaceChildren(
      choice("Variant", variants, String(state.variant), (value) => {
        state.variant = Number(value);
        open();
      }),
      choice(
        "Region",
        any("region", (name) => regionOf.get(name)?.title ?? name),
        state.region,
        set("region"),
      ),
      choice(
        "Fleet",
        any("fleet", (name) => overview.fleets[name] ?? name),
        state.fleet,
        set("fleet"),
      ),
      choice("Came to", any("fate"), state.fate, set("fate")),
      choice("Whose", WHOSE, state.whose, set("whose")),
      make("label", { className: "choice" }, make("span", { textContent: "Search" }), search),
      found,
    );
  }

  /** Lists the variant's operations; the one that is picked stays picked, to be compared. */
  async function open() {
    const turn = (latest += 1);
    const loaded = await load(state.variant);
    if (turn !== latest) return;
    content = loaded;
    content.events = eventsOf(content.acted);
    for (const key of ["region", "fleet", "fate"]) {
      if (!content.operations.some((one) => one[key] === state[key])) state[key] = "";
    }
    controls();
    rows = content.operations.map(row);
    list.replaceChildren(...rows.map((one) => one.element));
    filter();
    pick(rows.find((one) => one.operation.key === state.key) ?? seen()[0]);
  }

  function filter() {
    const whose = WHOSE.find(([name]) => name === state.whose)[2];
    for (const { operation, element } of rows) {
      element.hidden = !(
        (!state.region || operation.region === state.region) &&
        (!state.fleet || operation.fleet === state.fleet) &&
        (!state.fate || operation.fate === state.fate) &&
        whose(operation) &&
        operation.key.toLowerCase().includes(state.text)
      );
    }
    const left = seen().length;
    found.textContent =
      left === rows.length ? count(left, "operation") : `${figure(left)} of ${figure(rows.length)}`;
    const picked = rows.find((one) => one.operation.key === state.key);
    if (left && picked?.element.hidden) pick(seen()[0]);
  }

  function seen() {
    return rows.filter((one) => !one.element.hidden);
  }

  function onKey(event) {
    const choices = seen();
    const at = choices.findIndex((one) => one.operation.key === state.key);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + PAGE_ROWS,
      PageUp: at - PAGE_ROWS,
      Home: 0,
      End: choices.length - 1,
    }[event.key];
    if (to === undefined || !choices.length) return;
    event.preventDefault();
    pick(choices[Math.max(0, Math.min(to, choices.length - 1))]);
  }

  function pick(one) {
    if (!one) {
      state.key = null;
      list.removeAttribute("aria-activedescendant");
      detail.replaceChildren();
      return;
    }
    list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    one.element.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", one.element.id);
    state.key = one.operation.key;
    // Only the list scrolls, never the page under the reader.
    const { offsetTop: top, offsetHeight: height } = one.element;
    const isSeen = top >= list.scrollTop && top + height <= list.scrollTop + list.clientHeight;
    if (!isSeen) list.scrollTop = top - (list.clientHeight - height) / 2;
    show();
  }

  function show() {
    const one = rows.find(({ operation }) => operation.key === state.key);
    if (!one || !detail.clientWidth) return;
    const { operation } = one;
    detail.replaceChildren(
      make("h3", { textContent: operation.key }),
      make("p", { className: "muted", textContent: facts(operation) }),
      gantt(operation, content, Math.max(280, detail.clientWidth - 24)),
      make(
        "ol",
        { className: "story" },
        ...storyOf(operation, content).map(({ at, tone, text }) =>
          make(
            "li",
            { className: tone },
            make("time", { textContent: clock(at, true) }),
            make("span", { textContent: text }),
          ),
        ),
      ),
    );
  }

  /** Puts a button beside each operation that the page tells of without a script. */
  function tellingButtons() {
    for (const code of told) {
      const { variant, operation } = code.dataset;
      const shower = button("show", async () => {
        Object.assign(state, {
          region: "",
          fleet: "",
          fate: "",
          whose: "",
          text: "",
          key: operation,
        });
        state.variant = overview.variants.findIndex((one) => one.name === variant);
        search.value = "";
        await open();
        list.focus();
      });
      shower.setAttribute("aria-label", `show ${operation}`);
      code.after(" ", shower);
    }
  }
}

/** Makes the row of one operation: its name, and its life on the drill's whole time. */
function row(operation, index) {
  const length = overview.end - overview.start;
  const end = operation.endedAt ?? overview.end;
  const life = make("span", { className: `life ${operation.fate}` });
  life.style.left = `${(100 * (operation.submittedAt - overview.start)) / length}%`;
  life.style.width = `${(100 * (end - operation.submittedAt)) / length}%`;
  const tone = regionOf.get(operation.region)?.tone ?? "reads";
  const element = make(
    "div",
    { role: "option", id: `operation-${index}`, "aria-selected": "false" },
    make("span", { className: `name ${tone}`, textContent: operation.key }),
    make("span", { className: "asked", textContent: clock(operation.submittedAt) }),
    make("span", { className: "lives", "aria-hidden": "true" }, life),
    make("span", { className: `fate ${operation.fate}`, textContent: outcome(operation) }),
  );
  element.dataset.row = index;
  return { operation, element };
}

/** Says in few words what came of it, and after how long. */
function outcome(operation) {
  if (operation.endedAt === null) return operation.fate;
  const took = operation.endedAt - operation.submittedAt;
  const isInMinutes = took >= 60 && took < 3600;
  return `${operation.fate} ${isInMinutes ? `${Math.round(took / 60)} min` : span(took)}`;
}

function facts(operation) {
  const inTime = operation.endedAt !== null && operation.endedAt <= operation.deadlineAt;
  return [
    operation.endedAt === null
      ? operation.fate
      : `${operation.fate} after ${span(operation.endedAt - operation.submittedAt)}`,
    operation.fate === "succeeded" ? (inTime ? "in time" : "late") : "",
    `deadline ${clock(operation.deadlineAt)}`,
    operation.isOwn ? "yours" : "",
    operation.isCovered ? "under the safeguards" : "under no safeguard",
  ]
    .filter(Boolean)
    .join(" · ");
}
