// -------------------------------------------------------------------- the page

const view = {
  axis: Object.hasOwn(AXES, query.get("axis")) ? query.get("axis") : "rounds",
  logX: false,
  logY: new Set(),
  hidden: new Set(),
  theme: query.get("theme") || "auto",
  off: new Set(),  // indices of runs
  run: 0,          // whose details are shown
  redraw: () => {},
};

// The numbers that a run ended with, as text; "–" where there is none.
function outcome(run, runs) {
  const text = (value, format) => value === null ? "–" : format(value);
  const loss = last(run.central_loss) ?? last(run.federated_loss) ?? last(run.train_loss);
  return {
    Rounds: `${run.rounds_run.toLocaleString("en")} / ${run.planned.toLocaleString("en")}`,
    Accuracy: text(last(run.central_accuracy) ?? last(run.federated_accuracy), FORMATS.percent),
    Loss: text(loss, FORMATS.number),
    ...runs.some(({measured}) => own(measured.numbers, "gap"))
        ? {Gap: text(last(own(run.measured.numbers, "gap") ?? []), FORMATS.number)} : {},
    Time: text(last(run.elapsed), span),
    Up: text(last(run.bytes_up), FORMATS.bytes),
    Down: text(last(run.bytes_down), FORMATS.bytes),
    Clients: `${run.clients.length.toLocaleString("en")}${run.more_clients ? "+" : ""}`,
  };
}

function showSummary(runs) {
  const summary = byId("summary");
  if (runs.length === 1) {
    const tiles = Object.entries(outcome(runs[0], runs)).map(([name, value]) => element("div", {},
        element("span", {textContent: name}), element("b", {textContent: value})));
    summary.replaceChildren(element("div", {className: "tiles"}, ...tiles));
    byId("title").textContent = runs[0].name;
    byId("reason").replaceChildren(
        stateOf(runs[0]), runs[0].reason === "" ? "" : `  ·  ${runs[0].reason}`);
    return;
  }
  byId("title").textContent = `${runs.length} runs`;
  byId("reason").replaceChildren();
  const table = element("table");
  const head = table.insertRow();
  for (const name of ["Run", "State", ...Object.keys(outcome(runs[0], runs))]) {
    const number = name !== "Run" && name !== "State";
    head.append(element("th", {textContent: name, className: number ? "number" : ""}));
  }
  runs.forEach((run, i) => {
    const row = table.insertRow();
    row.className = view.off.has(i) ? "off" : "";
    const box = element("input", {type: "checkbox", checked: !view.off.has(i)});
    box.onchange = () => {
      if (!view.off.delete(i)) view.off.add(i);
      view.redraw();
    };
    const swatch = element("i", {className: "swatch"});
    swatch.style.background = css(`--c${i % 8}`);
    row.insertCell().append(element("label", {title: run.name}, box, swatch, shorten(run.name, 60)));
    row.insertCell().append(element("span", {title: run.reason}, stateOf(run)));
    for (const value of Object.values(outcome(run, runs))) {
      Object.assign(row.insertCell(), {className: "number", textContent: value});
    }
  });
  summary.replaceChildren(element("div", {className: "runs scroll"}, table));
}

// The line charts of these runs; `runs` keeps their indices for their colours.
function lineSpecs(runs) {
  const shown = runs.map((run, index) => ({run, index}))
      .filter(({run, index}) => !view.off.has(index) && run.round.length > 0);
  const several = runs.length > 1;
  const dashes = [[], [6, 4], [2, 3], [9, 3, 2, 3], [1, 2]];
  // kinds: [key, run -> column]
  const lines = (kinds) => shown.flatMap(({run, index}) => kinds.map(([key, column], k) => ({
    key, run, column: column(run),
    label: several ? `${run.name}  ${key}` : key,
    color: css(`--c${(several ? index : k) % 8}`),
    dash: several ? dashes[k % dashes.length] : [],
  })).filter((line) => line.column && has(line.column)));
  const names = (member) => [...new Set(shown.flatMap(({run}) => Object.keys(run[member])))];

  // Peers evaluate their own models, and at the end their average.
  const gossip = shown.length > 0 && shown.every(({run}) => isGossip(run));
  const central = gossip ? "the peers' average" : "central";
  const federated = gossip ? "the peers' own, mean" : "federated";
  const specs = [
    {id: "loss", title: "Loss", format: "number", lines: lines([
      [central, (run) => run.central_loss], [federated, (run) => run.federated_loss],
      ["training", (run) => run.train_loss]])},
    {id: "accuracy", title: "Accuracy", format: "percent", lines: lines([
      [central, (run) => run.central_accuracy],
      [federated, (run) => run.federated_accuracy]])},
    ...directionSpecs(lines),
    ...gossipSpecs(lines),
    spreadSpec(shown, several),
    several
        ? {id: "seconds", title: "Seconds a round", format: "seconds", zero: true,
           lines: lines([["all phases", totalSeconds]])}
        : {id: "seconds", title: "Seconds a round, by phase", format: "seconds", zero: true,
           stacked: true, always: true, lines: lines(names("seconds").map((name) =>
               [name, (run) => own(run.seconds, name)?.map((value) => value ?? 0)]))},
    {id: "bytes", title: "Bytes since the start", format: "bytes", zero: true, lines: lines([
      ["up", (run) => run.bytes_up], ["down", (run) => run.bytes_down]])},
    {id: "clients", title: "Clients", format: "count", zero: true, stepped: true, lines: lines([
      ["connected", (run) => run.connected], ["asked", (run) => run.asked],
      ["counted", (run) => run.counted]])},
    ...names("metrics").filter((name) =>
      !(GOSSIP_METRICS.includes(name) && shown.some(({run}) => isGossip(run)))).map((name) => (
      {id: `metric/${name}`, title: `${shorten(name, 40)}, mean over the clients`, format: "number",
       lines: lines([[name, (run) => own(run.metrics, name)]])})),
  ];
  const filled = specs.filter((spec) => spec.lines.length > 0);
  for (const spec of filled) if (spec.stacked) spec.lines[0].first = true;
  return filled;
}

function totalSeconds(run) {
  return run.round.map((_, i) => Object.values(run.seconds)
      .reduce((sum, column) => sum + (column[i] ?? 0), 0));
}

// How the clients' own qualities spread: bands for one run, half and least
// for several.
function spreadSpec(shown, several) {
  const with_it = shown.filter(({run}) => has(run.spread_50));
  const quality = with_it.length > 0 ? with_it[0].run.quality : "accuracy";
  const who = with_it.length > 0 && with_it.every(({run}) => isGossip(run)) ? "peer" : "client";
  const lines = [];
  for (const {run, index} of with_it) {
    if (run.quality !== quality) continue;
    const color = css(`--c${(several ? index : 0) % 8}`);
    const add = (key, column, more = {}) => lines.push(
        {key, run, column, color, label: several ? `${run.name}  ${key}` : key, ...more});
    const name = (key) => several ? `${run.name}  ${key}` : key;
    add("median", run.spread_50);
    if (several) {
      add(quality === "accuracy" ? "worst client" : "largest loss",
          quality === "accuracy" ? run.spread_0 : run.spread_100, {dash: [2, 3]});
    } else {
      add("10 % to 90 %", run.spread_10, {faint: 0.4, fill: "+1", label: name("10 %")});
      add("10 % to 90 %", run.spread_90, {faint: 0.4, label: name("90 %")});
      add("least to most", run.spread_0, {faint: 0.2, fill: "+1", label: name("least")});
      add("least to most", run.spread_100, {faint: 0.2, label: name("most")});
    }
  }
  return {id: "spread", title: quality === "accuracy" ? `Accuracy by ${who}` : `Loss by ${who}`,
          format: quality === "accuracy" ? "percent" : "number", lines};
}

function participation(run, order) {
  if (run.clients.length === 0) return [];
  const colors = [null, rgb(css("--counted")), rgb(css("--unheard")), rgb(css("--refused"))];
  const states = cellsOf(run, 1, 0);
  return [{
    title: "Who counted", values: order.map((i) => states[i]), merge: "most",
    rowNames: order.map((i) => run.clients[i].name), columnNames: run.round.map(String),
    xTitle: "round", color: (state) => colors[Math.min(3, Math.ceil(state))],
    tell: (row, column) => {
      const client = run.clients[order[row]], state = states[order[row]][column];
      const what = state === null ? "not asked" : state === 1 ? "counted"
          : state === 2 ? "asked, did not count" : `did not count: ${run.refusals[state - 3].reason}`;
      return `${client.name}, round ${run.round[column]}: ${what}\n` +
          `in all asked ${client.asked} times, counted ${client.counted}`;
    },
    keys: [colorKey(css("--counted"), "counted"), colorKey(css("--refused"), "did not count"),
           colorKey(css("--unheard"), "asked only"), colorKey(css("--absent"), "not asked")],
  }];
}

function qualities(run, order) {
  const rounds = [];  // that have any
  let least = Infinity, most = -Infinity;
  run.cells.forEach(([, , column], i) => {
    for (const value of column) {
      if (value === null) continue;
      if (rounds.at(-1) !== i) rounds.push(i);
      if (value < least) least = value;
      if (value > most) most = value;
    }
  });
  if (rounds.length === 0) return [];
  const rows = cellsOf(run, 2);
  const values = rounds.length === run.round.length ? rows
      : rows.map((row) => rounds.map((i) => row[i]));
  const color = ramp(), format = FORMATS[run.quality === "accuracy" ? "percent" : "number"];
  return [{
    title: (run.quality === "accuracy" ? "Accuracy" : "Loss") +
        (isGossip(run) ? " of each peer's own model on the test set"
            : " of each client on its held-out rows"),
    values: order.map((i) => values[i]), merge: "mean",
    rowNames: order.map((i) => run.clients[i].name),
    columnNames: rounds.map((i) => String(run.round[i])), xTitle: "round",
    color: (value) => color(most > least ? (value - least) / (most - least) : 1),
    tell: (row, column) => {
      const value = values[order[row]][column];
      return `${run.clients[order[row]].name}, round ${run.round[rounds[column]]}: ` +
          (value === null ? "not evaluated" : format(value));
    },
    keys: [rampKey(format(least), format(most))],
  }];
}

function labelHistogram(run) {
  const {names, counts, parts} = run.labels;
  if (counts.length === 0) return [];
  const most = counts.reduce((a, row) => row.reduce((b, c) => Math.max(b, c), a), 1);
  const color = ramp();
  const total = counts.map((row) => row.reduce((a, b) => a + b, 0));
  const of_all = parts > counts.length ? `, the first ${counts.length} of ${parts} parts` : "";
  return [{
    title: `Rows by label and part${of_all}`,
    values: names.map((_, label) => counts.map((row) => row[label] || null)), merge: "mean",
    rowNames: names.map((name) => `label ${name}`),
    columnNames: counts.map((_, part) => String(part)), xTitle: "part of the training data",
    color: (count) => color(count / most), write: (count) => String(count),
    tell: (row, column) => `part ${column}, label ${names[row]}: ${counts[column][row]} of ` +
        `${total[column]} rows`,
    keys: [rampKey("1", FORMATS.count(most)), colorKey(css("--absent"), "none")],
  }];
}

function matrixSpecs(run) {
  const order = clientOrder(run);
  return [...trafficMatrix(run), ...labelHistogram(run), ...participation(run, order),
          ...qualities(run, order)];
}

function showRefusals(run) {
  const box = byId("refusals");
  box.replaceChildren();
  if (run.refusals.length === 0) return;
  const table = element("table");
  const head = table.insertRow();
  for (const name of ["Reason", "Times", "Rounds", "Clients"]) {
    head.append(element("th", {textContent: name, className: name === "Times" ? "number" : ""}));
  }
  for (const refusal of [...run.refusals].sort((a, b) => b.times - a.times)) {
    const row = table.insertRow();
    const names = refusal.clients.map((name) => shorten(name, 40)).join(", ");
    const rounds = refusal.first === refusal.last ? `${refusal.first}`
        : `${refusal.first} to ${refusal.last}`;
    [["wide", refusal.reason], ["number", refusal.times.toLocaleString("en")], ["", rounds],
     ["wide", names + (refusal.more_clients ? ", …" : "")]].forEach(([className, textContent]) =>
        Object.assign(row.insertCell(), {className, textContent}));
  }
  box.append(element("article", {className: "card"},
      element("h2", {textContent: "Why clients did not count"}),
      element("div", {className: "scroll"}, table)));
}

function notesOf(runs) {
  const notes = [];
  for (const run of runs) {
    const whose = runs.length > 1 ? `${run.name}: ` : "";
    if (run.round.length === 0) notes.push(`${whose}No round was completed, so there are no curves.`);
    if (run.stride > 1) {
      notes.push(`${whose}The charts show one in ${run.stride} of ` +
                 `${run.rounds_run.toLocaleString("en")} rounds, and the last.`);
    }
    if (run.more_clients) {
      notes.push(`${whose}Clients by name are the first ${run.clients.length} that were asked; ` +
                 "counts and spreads are over all.");
    }
    if (run.metrics_left_out) notes.push(`${whose}Some of the clients' numbers are left out.`);
  }
  return notes.join(" ");
}

function draw(data) {
  view.redraw = () => draw(data);
  const runs = data.runs;
  applyTheme();
  for (const {chart} of charts) chart.destroy();
  charts = [];
  byId("charts").replaceChildren();
  byId("run-charts").replaceChildren();

  document.title = runs.length === 1 ? `${runs[0].name} · Parley` : `${runs.length} runs · Parley`;
  choose(byId("against"), Object.keys(AXES).map((axis) => [axis, axis]), view.axis,
         (axis) => { view.axis = axis; });
  choose(byId("theme"), [["auto", "auto"], ["light", "light"], ["dark", "dark"]], view.theme,
         (theme) => { view.theme = theme; });
  byId("log-x").setAttribute("aria-pressed", view.logX);
  byId("log-x").title = `A logarithmic axis of ${view.axis}`;
  byId("log-x").onclick = () => {
    view.logX = !view.logX;
    view.redraw();
  };
  byId("which").hidden = runs.length === 1;
  choose(byId("which"), runs.map((run, i) => [i, run.name]), view.run, (i) => { view.run = i; });
  const run = runs[view.run];
  showTexts(data, run);
  charts = lineSpecs(runs).map((spec) => lineChart(byId("charts"), spec, view));
  if (run.labels.why !== "") {
    byId("run-charts").append(element("article", {className: "card"},
        element("header", {}, element("h2", {textContent: "Rows by label and part"})),
        element("p", {className: "quiet", textContent: run.labels.why})));
  }
  charts.push(...matrixSpecs(run).map((spec) => matrixChart(byId("run-charts"), spec)));
}

// Shows what has come to `data` since it was drawn. Charts stay where they are,
// unless there are others now.
function refresh(data) {
  view.redraw = () => draw(data);
  const lines = lineSpecs(data.runs), matrices = matrixSpecs(data.runs[view.run]);
  const shapes = [...lines.map(lineShape), ...matrices.map((spec) => spec.title)];
  if (shapes.join() !== charts.map((chart) => chart.shape).join()) return draw(data);
  showTexts(data, data.runs[view.run]);
  [...lines, ...matrices].forEach((spec, i) => charts[i].take(spec));
}

function showTexts(data, run) {
  showSummary(data.runs);
  byId("notes").textContent = notesOf(data.runs);
  showDirection(data.runs);
  showGraph(run);
  showRefusals(run);
  byId("run-file").querySelector("pre").textContent = run.run_file;
  document.querySelector("footer").textContent = `Parley ${data.version}`;
}
