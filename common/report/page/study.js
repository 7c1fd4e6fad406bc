// --------------------------------------------------------------------- a study
//
// The data: {version, name, study_file, verdict: [text], notes: [text], cells,
// points, sets, floors}. A column has one number, or null, for each round that
// was measured.
//   cells: {name, state, reason, rounds, planned, seconds, bytes, hash, set,
//     margin: γ or null, columns: {round, steps (L·k, or null), t (ηLk, or null),
//     bytes, and those of RoundReport.direction}, fits: null or {first,
//     inverse_gap, norm: {slope, within, intercept, r_squared}, loss_least,
//     loss_most, loss_last}, bias: null or {measured, predicted, cosine}}
//   points: {cell, algorithm, local_steps (0: none), rule of the step size ("":
//     none), partition, seed, log_lambda (0: none)}
//   sets: {words: [text], rows, limit: null or, of two features, [[x, y, label,
//     client]] and [x, y], inverse_gap_slope (null: not predicted), spans_rows:
//     whether that is what it is, and not the most it can be; heterogeneity}
//   floors: [{algorithm, x: [1/|ln λ|], gap}]

const view = {
  axis: "rounds", logX: false, logY: new Set(), hidden: new Set(),
  theme: query.get("theme") || "auto", rule: null, partition: null, seed: null,
  off: new Set(),  // names of lines
  redraw: () => {},
};

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [1, 2]];
const ALL = "all";

const axisOf = (column, title, format) =>
    ({title, format, whole: column === "round", of: (cell, i) => cell.columns[column]?.[i] ?? null});
const BY = {
  rounds: axisOf("round", "round", FORMATS.count),
  steps: axisOf("steps", "local steps L·k, one after another", FORMATS.count),
  bytes: axisOf("bytes", "bytes, up and down", FORMATS.bytes),
  t: axisOf("t", "ηLk", FORMATS.number),
};

// Blue to red, by rank, so that the order of L can be seen.
function hue(rank, count) {
  const h = 230 - 220 * rank / Math.max(1, count - 1);
  const dark = document.documentElement.dataset.theme === "dark";
  const l = dark ? 0.66 : 0.42, a = 0.72 * Math.min(l, 1 - l);
  const part = (n) => {
    const k = (n + h / 30) % 12;
    return Math.round(255 * (l - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))))
        .toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}

const distinct = (values) => [...new Set(values)];

// Of algorithms that take no steps; of more the lines differ by dashes, too.
const OTHER_COLORS = [3, 2, 4, 5, 7];

// The points that the page is set to, each with its look.
function linesOf(data) {
  const lengths = distinct(data.points.map((point) => point.local_steps)).filter((l) => l > 0)
      .sort((a, b) => a - b);
  const algorithms = distinct(data.points.map((point) => point.algorithm));
  const stepping = algorithms.filter((name) =>
      data.points.some((point) => point.algorithm === name && point.local_steps > 0));
  const others = algorithms.filter((name) => !stepping.includes(name));
  const rules = distinct(data.points.map((point) => point.rule)).filter((rule) => rule !== "");
  const several = (name) => distinct(data.points.map((point) => point[name])).length > 1;
  return data.points
      .filter((point) => view.rule === ALL || point.rule === "" || point.rule === view.rule)
      .filter((point) => view.partition === ALL || point.partition === view.partition)
      .filter((point) => view.seed === ALL || point.seed === view.seed)
      .map((point) => {
        const steps = point.local_steps > 0, other = others.indexOf(point.algorithm);
        const name = [
          point.algorithm, steps ? `L = ${point.local_steps}` : "",
          view.rule === ALL && rules.length > 1 ? point.rule : "",
          view.partition === ALL && several("partition") ? point.partition : "",
          view.seed === ALL && several("seed") ? `seed ${point.seed}` : "",
        ].filter((part) => part !== "").join("  ");
        return {
          point, name, run: data.cells[point.cell], key: name, label: name,
          color: steps ? hue(lengths.indexOf(point.local_steps), lengths.length)
              : css(`--c${OTHER_COLORS[other % OTHER_COLORS.length]}`),
          dash: steps ? DASHES[(stepping.indexOf(point.algorithm) +
              (view.rule === ALL ? stepping.length * Math.max(0, rules.indexOf(point.rule)) : 0)) %
              DASHES.length] : DASHES[Math.floor(other / OTHER_COLORS.length) % DASHES.length],
        };
      });
}

// A dashed line of theory, of numbers of its own.
function theory(label, color, xs, ys) {
  return {key: label, label, color, dash: [3, 4], bare: true, column: ys,
          run: {columns: {x: xs, round: xs, steps: xs, bytes: xs, t: xs}}};
}

// ---------------------------------------------------------------- line charts

function chartSpecs(data, lines) {
  const specs = [];
  const shown = lines.filter((line) => !view.off.has(line.name));
  const add = (id, title, axis, format, column, {log = true, extra = [], note = "", zero = false} = {}) => {
    const drawn = shown.map((line) => ({...line, column: column(line.run)}))
        .filter((line) => line.column && has(line.column) &&
            line.column.some((y, i) => y !== null && axis.of(line.run, i) !== null));
    if (drawn.length === 0) return;
    specs.push({id, title, axis, log: log ? "xy" : "x", format, zero, keys: false, note,
                lines: [...drawn, ...extra]});
  };
  const plain = (name) => (cell) => cell.columns[name];
  const names = {gap: "Gap to the max-margin direction"};
  if (data.cells.every((cell) => cell.margin === null)) names.gap = "Gap to the minimum's direction";
  add("gap-rounds", `${names.gap}, at equal rounds`, BY.rounds, "number", plain("gap"));
  add("gap-steps", `${names.gap}, at equal gradient steps L·k`, BY.steps, "number", plain("gap"));
  add("gap-bytes", `${names.gap}, at equal bytes`, BY.bytes, "number", plain("gap"));
  add("distance", "Distance to the minimum, ‖w − w*‖/‖w*‖", BY.rounds, "number", plain("distance"));

  add("inverse", "1/gap against ln(ηLk): (paper) a line", BY.t, "number",
      (cell) => cell.margin === null ? null : cell.columns.gap?.map((gap) => gap > 0 ? 1 / gap : null),
      {log: false, extra: [...fitLines(shown), ...slopeLines(data, shown)], zero: true,
       note: "Dashed: least squares over the last two factors of ten. In grey, where it can be told: the " +
             "(derived) slope in the end, through the last point."});
  add("loss-product", "f·ηLk·γ²: (derived) tends to 1", BY.t, "number", (cell) => cell.margin === null ||
      !cell.columns.t ? null : cell.columns.log_loss?.map((loss, i) => loss === null ||
          cell.columns.t[i] === null ? null
          : Math.exp(loss + Math.log(cell.columns.t[i]) + 2 * Math.log(cell.margin))),
      {extra: oneLine(shown)});
  add("norm", "‖w‖; dashed: (derived) ln 10/γ a factor of ten", BY.t, "number", plain("norm"),
      {log: false, extra: normLines(shown), zero: true});
  add("norm-rounds", "‖w‖, at equal rounds", BY.rounds, "number", plain("norm"), {log: false, zero: true});
  add("margin", "Margin, as a share of the largest one", BY.rounds, "number", plain("margin_share"),
      {log: false});
  add("log-loss", "ln f, the logarithm of the loss", BY.rounds, "number", plain("log_loss"),
      {log: false});
  add("central-rounds", "Gap to centralized descent, at equal rounds", BY.rounds, "number",
      plain("centralized_rounds_gap"));
  add("central-steps", "Gap to centralized descent, at equal gradient steps", BY.rounds, "number",
      plain("centralized_steps_gap"),
      {note: "To be held against the gap of either to the max-margin direction, above."});
  add("drift", "Client drift, as a share of the mean change", BY.rounds, "number",
      plain("drift_share"));
  add("client-gap", "Gap of the clients' own models, median", BY.rounds, "number",
      plain("client_gap_median"));
  add("client-gap-max", "Gap of the clients' own models, the farthest", BY.rounds, "number",
      plain("client_gap_max"));
  const floors = data.floors.filter(({x}) => x.length > 1);
  if (floors.length > 0) {
    const axis = axisOf("x", "1/|ln λ|", FORMATS.number);
    specs.push({id: "floor", title: "Last gap against 1/|ln λ|", axis, log: "xy", format: "number",
                note: "(derived) The floor falls in proportion to 1/|ln λ|.",
                lines: floors.map((floor, i) => ({
                  key: floor.algorithm, label: floor.algorithm, color: css(`--c${(i + 3) % 8}`),
                  column: floor.gap, run: {columns: {x: floor.x}}}))});
  }
  const bias = biasSpec(lines);
  if (bias) specs.push(bias);
  return specs;
}

function fitLines(lines) {
  return lines.filter(({run}) => run.fits !== null && run.columns.t).map(({run, color, name}) => {
    const xs = run.columns.t.slice(run.fits.first), {slope, intercept} = run.fits.inverse_gap;
    return theory(`fit of ${name}`, color, xs, xs.map((t) => intercept + slope * Math.log(t)));
  });
}

// Through the last point of the line that goes farthest, with the slope that
// theory has.
function slopeLines(data, lines) {
  const fitted = lines.filter(({run}) => run.fits !== null && run.columns.t &&
                              data.sets[run.set].spans_rows);
  const farthest = distinct(fitted.map(({run}) => run.set)).map((set) => fitted
      .filter(({run}) => run.set === set)
      .reduce((a, b) => last(a.run.columns.t) >= last(b.run.columns.t) ? a : b));
  return farthest.map(({run, name}) => {
    const xs = run.columns.t.slice(run.fits.first), t1 = last(xs), end = 1 / last(run.columns.gap);
    return theory(`predicted slope for ${name}`, css("--quiet"), xs,
                  xs.map((t) => end + data.sets[run.set].inverse_gap_slope * Math.log(t / t1)));
  });
}

// The same for ‖w‖, of every line.
function normLines(lines) {
  return lines.filter(({run}) => run.fits !== null && run.margin && run.columns.t)
      .map(({run, color, name}) => {
        const end = run.columns.t.length - 1, t1 = run.columns.t[end], norm = run.columns.norm[end];
        const xs = run.columns.t.slice(run.fits.first);
        return theory(`predicted for ${name}`, color, xs,
                      xs.map((t) => norm + Math.log(t / t1) / run.margin));
      });
}

function oneLine(lines) {
  const ts = lines.flatMap(({run}) => run.margin !== null && run.columns.t ? run.columns.t : [])
      .filter((t) => t > 0);
  if (ts.length === 0) return [];
  const xs = [Math.min(...ts), Math.max(...ts)];
  return [theory("limit", css("--quiet"), xs, [1, 1])];
}

// Measured and predicted first-order bias against L.
function biasSpec(lines) {
  const groups = new Map();
  for (const {point, run} of lines) {
    if (run.bias === null || point.local_steps < 2) continue;
    const key = [point.algorithm, point.rule, point.partition, point.seed].join(" ");
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push({steps: point.local_steps, ...run.bias});
  }
  if (groups.size === 0) return null;
  const specLines = [];
  [...groups].forEach(([key, all], i) => {
    all.sort((a, b) => a.steps - b.steps);
    const run = {columns: {x: all.map((one) => one.steps)}}, color = css(`--c${i % 8}`);
    specLines.push({key: "measured", label: `${key} measured`, color, run,
                    column: all.map((one) => one.measured)});
    specLines.push({key: "predicted", label: `${key} predicted`, color, run, dash: [3, 4],
                    column: all.map((one) => one.predicted)});
  });
  return {id: "bias", title: "‖w − w*‖ at the end, against L", log: "xy", format: "number",
          axis: axisOf("x", "local steps L", FORMATS.count), lines: specLines,
          note: "Dashed: (derived) first order, (η(L−1)/2)·‖H⁻¹ Σ p H ∇f(w*)‖."};
}

// ------------------------------------------------------------------- heat maps

// The last value, the first one at or after `steps`, or null.
function gapAt(cell, steps) {
  const {gap, steps: at} = cell.columns;
  if (!gap || gap.length === 0) return null;
  if (steps === null) return last(gap);
  if (!at) return null;
  const i = at.findIndex((s) => s !== null && s >= steps);
  return i < 0 ? null : gap[i];
}

function heatSpecs(data) {
  const specs = [];
  const points = data.points.filter((point) => point.local_steps > 0 && point.rule !== "" &&
      (view.partition === ALL || point.partition === view.partition) &&
      (view.seed === ALL || point.seed === view.seed));
  for (const algorithm of distinct(points.map((point) => point.algorithm))) {
    const own = points.filter((point) => point.algorithm === algorithm);
    const lengths = distinct(own.map((point) => point.local_steps)).sort((a, b) => a - b);
    const rules = distinct(own.map((point) => point.rule));
    if (lengths.length * rules.length < 2) continue;
    const reach = Math.min(...own.map((point) => last(data.cells[point.cell].columns.steps ?? []) ?? 0));
    for (const [what, steps] of [["at the end", null], [`after L·k = ${FORMATS.count(reach)} steps`, reach]]) {
      const values = rules.map((rule) => lengths.map((length) => {
        const of = own.filter((point) => point.rule === rule && point.local_steps === length)
            .map((point) => gapAt(data.cells[point.cell], steps)).filter((gap) => gap !== null);
        return of.length === 0 ? null : of.reduce((a, b) => a + b, 0) / of.length;
      }));
      const flat = values.flat().filter((value) => value !== null && value > 0);
      if (flat.length === 0) continue;
      const low = Math.log(Math.min(...flat)), high = Math.log(Math.max(...flat)), color = ramp();
      specs.push({
        title: `${algorithm}: gap ${what}, by step size and L`, values, merge: "mean",
        rowNames: rules, columnNames: lengths.map((length) => `L = ${length}`), xTitle: "",
        color: (value) => color(high > low ? (Math.log(value) - low) / (high - low) : 1),
        write: (value) => FORMATS.number(+value.toPrecision(3)),
        tell: (row, column) => `${rules[row]}, L = ${lengths[column]}: ` + (values[row][column] === null
            ? "nothing" : FORMATS.number(values[row][column])),
        keys: [rampKey(FORMATS.number(Math.exp(low)), FORMATS.number(Math.exp(high)))],
      });
    }
  }
  return specs;
}

// --------------------------------------------------------------- two dimensions

// The rows, and on circles around them where the directions of the models go.
function planeChart(into, data, set, lines) {
  const {rows, limit} = data.sets[set];
  const frame = card("The rows, and the direction of w on the circle");
  into.append(frame.box);
  frame.box.style.gridRow = "span 2";
  Object.assign(frame.plot.style, {height: "440px", width: "440px", maxWidth: "100%"});
  const shown = lines.filter((line) => !view.off.has(line.name) && line.run.set === set &&
                             line.run.columns.w0);
  const reach = Math.max(...rows.map(([x, y]) => Math.hypot(x, y)));
  // A circle for each model: the ways would hide each other on one.
  const radii = shown.map((_, i) => reach * (1.12 + 0.06 * i));
  const radius = radii.at(-1) ?? reach, edge = 1.12 * radius;
  const datasets = shown.map((line, i) => ({
    type: "line", label: line.label, borderColor: line.color, borderDash: line.dash, borderWidth: 2.5,
    pointRadius: 2, pointBackgroundColor: line.color, pointBorderWidth: 0,
    data: line.run.columns.w0.map((x, k) => ({x, y: line.run.columns.w1[k]}))
        .filter(({x, y}) => x !== null && y !== null && Math.hypot(x, y) > 0)
        .map(({x, y}) => ({x: radii[i] * x / Math.hypot(x, y), y: radii[i] * y / Math.hypot(x, y)})),
  }));
  for (const [label, style] of [[1, "circle"], [-1, "rectRot"]]) {
    const clients = distinct(rows.map((row) => row[3]));
    for (const client of clients) {
      datasets.push({
        label: `client ${client}, label ${label}`, pointStyle: style, pointRadius: 3.5, showLine: false,
        pointBackgroundColor: css(`--c${client % 8}`), pointBorderWidth: 0,
        data: rows.filter((row) => row[2] === label && row[3] === client).map(([x, y]) => ({x, y})),
      });
    }
  }
  if (limit) {
    const [x, y] = limit, n = Math.hypot(x, y);
    datasets.push({type: "line", label: "max-margin direction", borderColor: css("--text"), borderWidth: 1.5,
                   pointRadius: 0, data: [{x: 0, y: 0}, {x: 1.08 * radius * x / n, y: 1.08 * radius * y / n}]});
    datasets.push({type: "line", label: "its hyperplane", borderColor: css("--quiet"), borderWidth: 1,
                   borderDash: [4, 4], pointRadius: 0,
                   data: [{x: -edge * y / n, y: edge * x / n}, {x: edge * y / n, y: -edge * x / n}]});
  }
  const axis = {type: "linear", min: -edge, max: edge, display: false};
  const chart = new Chart(frame.canvas, {
    type: "scatter", data: {datasets},
    options: {
      animation: false, maintainAspectRatio: false, scales: {x: {...axis}, y: {...axis}},
      plugins: {legend: {display: false}, tooltip: Object.assign(tooltipStyle(), {callbacks: {
        label: (item) => ` ${item.dataset.label}  (${FORMATS.number(item.raw.x)}, ${FORMATS.number(item.raw.y)})`}})},
    },
    plugins: [{id: "circle", beforeDatasetsDraw({ctx, scales}) {
      ctx.save();
      ctx.strokeStyle = css("--line");
      const x = scales.x.getPixelForValue(0), y = scales.y.getPixelForValue(0);
      for (const r of radii) {
        ctx.beginPath();
        ctx.ellipse(x, y, Math.abs(scales.x.getPixelForValue(r) - x),
                    Math.abs(scales.y.getPixelForValue(r) - y), 0, 0, 2 * Math.PI);
        ctx.stroke();
      }
      ctx.restore();
    }}],
  });
  frame.box.append(element("p", {className: "quiet", textContent:
      "Dots are rows of label +1, diamonds of −1, coloured by client. On the circles: w/‖w‖ round by " +
      "round, a model each, from the inside in the order above. The straight line is the max-margin " +
      "direction, the dashed one its hyperplane."}));
  return {chart, shape: "plane", take: () => {}};
}

// -------------------------------------------------------------------- the page

function tableOf(title, head, rows) {
  const table = element("table");
  const first = table.insertRow();
  for (const [name, number] of head) {
    first.append(element("th", {textContent: name, className: number ? "number" : ""}));
  }
  for (const values of rows) {
    const row = table.insertRow();
    values.forEach((value, i) => {
      const cell = Object.assign(row.insertCell(), {className: head[i][1] ? "number" : ""});
      cell.append(value);
    });
  }
  return element("article", {className: "card"}, element("h2", {textContent: title}),
                 element("div", {className: "scroll"}, table));
}

const text = (value, format = FORMATS.number) =>
    value === null || value === undefined ? "–" : format(value);
const within = (fit) => fit ? `${+fit.slope.toPrecision(3)} ± ${+fit.within.toPrecision(2)}` : "–";

function showTables(data) {
  const box = byId("tables");
  box.replaceChildren();
  const end = (cell, name) => text(last(cell.columns[name] ?? []));
  box.append(tableOf("Cells", [
    ["Cell"], ["State"], ["Rounds", 1], ["Gap", 1], ["Margin share", 1], ["ln f", 1], ["‖w‖", 1],
    ["1/gap a factor e", 1], ["R²", 1], ["‖w‖ a factor e", 1], ["1/γ", 1], ["f·ηLk·γ²", 1], ["Bytes", 1],
    ["Model", 1],
  ], data.cells.map((cell) => [
    cell.name, element("span", {className: `state ${cell.state}`, textContent: cell.state, title: cell.reason}),
    FORMATS.count(cell.rounds), end(cell, "gap"), end(cell, "margin_share"), end(cell, "log_loss"),
    end(cell, "norm"), within(cell.fits?.inverse_gap),
    text(cell.fits?.inverse_gap.r_squared, (value) => value.toFixed(4)), within(cell.fits?.norm),
    cell.margin ? text(1 / cell.margin) : "–", text(cell.fits?.loss_last), FORMATS.bytes(cell.bytes),
    cell.hash.slice(0, 8),
  ])));
  const groups = new Map();
  const seeds = distinct(data.points.map((point) => point.seed)).length;
  for (const point of data.points) {
    if (point.local_steps === 0) continue;
    const key = [point.algorithm, point.rule, point.partition, seeds > 1 ? `seed ${point.seed}` : ""]
        .filter((part) => part !== "").join("  ");
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(point);
  }
  const sweeps = [...groups].filter(([, points]) => points.length > 1);
  if (sweeps.length === 0) return;
  box.append(tableOf("The same, held against each other: the gap of every L",
      [["Sweep"], ["L", 1], ["at equal rounds and bytes", 1], ["at equal L·k", 1], ["L·k", 1]],
      sweeps.flatMap(([key, points]) => {
        const reach = Math.min(...points.map(({cell}) => last(data.cells[cell].columns.steps ?? []) ?? 0));
        const rounds = Math.min(...points.map(({cell}) => last(data.cells[cell].columns.round ?? []) ?? 0));
        return points.map(({cell, local_steps}) => {
          const {columns} = data.cells[cell];
          const at = (columns.round ?? []).findIndex((round) => round >= rounds);
          return [key, String(local_steps), text(columns.gap?.[at]),
                  text(gapAt(data.cells[cell], reach)), FORMATS.count(reach)];
        });
      })));
}

function showLines(lines) {
  const box = byId("lines");
  box.replaceChildren();
  for (const line of lines) {
    const button = element("button", {}, dash(line.color, line.dash, 0), shorten(line.name, 60));
    button.setAttribute("aria-pressed", !view.off.has(line.name));
    button.onclick = () => {
      if (!view.off.delete(line.name)) view.off.add(line.name);
      view.redraw();
    };
    box.append(button);
  }
}

function chooseOne(name, values, format = String) {
  if (view[name] === null) view[name] = values.length > 0 ? values[0] : ALL;
  byId(name).hidden = values.length < 2;
  choose(byId(name), [...values.map((value) => [value, format(value)]), [ALL, "all"]], view[name],
         (value) => { view[name] = value; });
}

function draw(data) {
  view.redraw = () => draw(data);
  applyTheme();
  for (const {chart} of charts) chart.destroy();
  charts = [];
  for (const id of ["charts", "matrices"]) byId(id).replaceChildren();
  document.title = `${data.name} · Parley`;
  byId("title").textContent = data.name;
  byId("reason").textContent =
      "Where does Local-GD converge? A sweep after arXiv 2412.07971; what is not of the paper is marked.";
  byId("notes").textContent = data.notes.join(" ");
  byId("verdict").replaceChildren(
      element("h2", {textContent: "Verdict"}),
      element("ul", {}, ...data.verdict.map((line) => {
        const at = line.indexOf(": ") + 1;  // what it is about
        return element("li", {}, element("b", {textContent: line.slice(0, at)}), line.slice(at));
      })));
  choose(byId("theme"), [["auto", "auto"], ["light", "light"], ["dark", "dark"]], view.theme,
         (theme) => { view.theme = theme; });
  chooseOne("rule", distinct(data.points.map((point) => point.rule)).filter((rule) => rule !== ""));
  chooseOne("partition", distinct(data.points.map((point) => point.partition)));
  chooseOne("seed", distinct(data.points.map((point) => point.seed)));
  byId("run-file").querySelector("pre").textContent = data.study_file;
  document.querySelector("footer").textContent = `Parley ${data.version}`;

  const lines = linesOf(data);
  showLines(lines);
  const shown = distinct(lines.map((line) => line.run.set)).filter((set) => data.sets[set]?.rows);
  charts = shown.map((set) => planeChart(byId("charts"), data, set, lines));
  charts.push(...chartSpecs(data, lines).map((spec) => {
    const chart = lineChart(byId("charts"), spec, view);
    return chart;
  }));
  charts.push(...heatSpecs(data).map((spec) => matrixChart(byId("matrices"), spec)));
  showTables(data);
}
