// ------------------------------------------------------------------ line charts

const FORMATS = {
  number: (v) => v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3
      ? v.toExponential(2).replace(/\.?0+e/, "e") : String(+v.toPrecision(4)),
  count: (v) => Math.round(v).toLocaleString("en"),
  percent: (v) => `${+(100 * v).toFixed(1)} %`,
  seconds: (v) => v >= 100 ? span(v) : v >= 1 ? `${+v.toPrecision(3)} s`
      : v >= 1e-3 ? `${+(1e3 * v).toPrecision(3)} ms` : v === 0 ? "0 s"
      : `${+(1e6 * v).toPrecision(3)} µs`,
  bytes: (v) => {
    const power = v < 1000 ? 0 : Math.min(5, Math.floor(Math.log10(v) / 3));
    return `${+(v / 1000 ** power).toPrecision(3)} ${["B", "kB", "MB", "GB", "TB", "PB"][power]}`;
  },
};

// "12:34", "1:02:03".
function span(seconds) {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(s / 60) % 60, hours = Math.floor(s / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

// What the x axis can be.
const AXES = {
  rounds: {title: "round", whole: true, format: FORMATS.count, of: (run, i) => run.round[i]},
  bytes: {title: "bytes, up and down", format: FORMATS.bytes,
          of: (run, i) => run.bytes_up[i] + run.bytes_down[i]},
  time: {title: "time since the start", format: FORMATS.seconds, of: (run, i) => run.elapsed[i]},
};

// A colour of report.css. Asking the browser makes it lay out the page, so each
// is asked for once a theme.
const cssValues = new Map();

function css(name) {
  if (!cssValues.has(name)) {
    const style = getComputedStyle(document.documentElement);
    cssValues.set(name, style.getPropertyValue(name).trim());
  }
  return cssValues.get(name);
}

const shorten = (text, most) => text.length <= most ? text : `${text.slice(0, most - 1)}…`;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// A short piece of the line, for a key; of a band with that opacity.
function dash(color, pattern, band) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", 22);
  svg.setAttribute("height", 10);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({
    x1: 0, x2: 22, y1: 5, y2: 5, stroke: color, "stroke-width": band ? 8 : 2,
    "stroke-dasharray": pattern.join(" "), "stroke-opacity": band || 1,
  })) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

// The frame of a chart: its title, a place for buttons, the canvas, the keys.
function card(title) {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", title);
  const head = element("header", {}, element("h2", {textContent: title}));
  const plot = element("div", {className: "plot"}, canvas);
  const keys = element("div", {className: "keys"});
  return {box: element("article", {className: "card"}, head, plot, keys), head, plot, canvas, keys};
}

function scale({log, format, title, zero = false, whole = false}) {
  const logTicks = Chart.Ticks.formatters.logarithmic;
  return {
    type: log ? "logarithmic" : "linear",
    beginAtZero: zero && !log,
    grace: whole && zero ? "8%" : 0,  // room above a line that stays at the top
    border: {display: false},
    grid: {color: css("--grid"), drawBorder: false, tickLength: 4},
    title: {display: title !== "", text: title, color: css("--quiet"), font: {size: 11}},
    ticks: {
      color: css("--quiet"), font: {size: 11}, maxRotation: 0, maxTicksLimit: 7,
      autoSkipPadding: 16, sampleSize: 10, precision: whole ? 0 : undefined,
      callback(value, index, ticks) {
        return log && logTicks.call(this, value, index, ticks) === "" ? "" : format(value);
      },
    },
  };
}

// The range of x over all rounds of the runs that are shown, though a line may
// have a few of them only.
function wholeRange(spec, axis) {
  let least = Infinity, most = -Infinity;
  for (const {run} of spec.axis ? [] : spec.lines) {
    for (const i of [0, run.round.length - 1]) {
      const x = axis.of(run, i);
      if (x === null || x === undefined) continue;
      least = Math.min(least, x);
      most = Math.max(most, x);
    }
  }
  return least < most ? {suggestedMin: least, suggestedMax: most} : {};
}

// Room around values that hardly differ, or one alone: two points each way for
// shares, none of it beyond what a share can be.
function shareRange(spec) {
  if (spec.format !== "percent") return {};
  let least = Infinity, most = -Infinity;
  for (const line of spec.lines) {
    for (const value of line.column) {
      if (value === null) continue;
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
  }
  if (most - least >= 0.04 || least < 0 || most > 1) return {};
  return {suggestedMin: Math.max(0, least - 0.02), suggestedMax: Math.min(1, most + 0.02)};
}

function tooltipStyle() {
  return {backgroundColor: css("--text"), titleColor: css("--page"), bodyColor: css("--page"),
          titleFont: {size: 12}, bodyFont: {size: 12}, padding: 8, cornerRadius: 6,
          boxWidth: 8, boxHeight: 8, boxPadding: 4};
}

// Which axes of a chart are logarithmic: what the buttons say, turned round
// where the chart is so from the start.
function logsOf(spec, view) {
  const starts = spec.log ?? "";  // "x", "xy"
  return {logX: view.logX !== starts.includes("x"),
          logY: view.logY.has(spec.id) !== starts.includes("y")};
}

// What Chart.js draws of the lines of `spec`.
function datasetsOf(spec, view) {
  const axis = spec.axis ?? AXES[view.axis], {logX, logY} = logsOf(spec, view);
  return spec.lines.map((line) => {
    const data = [];
    line.column.forEach((y, i) => {
      const x = axis.of(line.run, i);
      if (y === null || x === null || (logY && y <= 0) || (logX && x <= 0)) return;
      data.push({x, y, i});
    });
    return {
      data, label: line.label, run: line.run, key: line.key,
      hidden: view.hidden.has(`${spec.id}/${line.key}`),
      borderColor: line.color, borderDash: line.dash || [],
      backgroundColor: line.color + (spec.stacked ? "99" : "33"),
      borderWidth: line.faint || (spec.stacked && data.length > 200) ? 0 : 1.75,
      fill: spec.stacked ? (line.first ? "origin" : "-1") : line.fill || false,
      stepped: spec.stepped ? "middle" : false,
      pointRadius: line.faint || line.bare ? 0 : data.length === 1 ? 3.5 : data.length <= 40 ? 1.75 : 0,
      pointHoverRadius: line.faint ? 0 : 4, pointBackgroundColor: line.color,
      pointBorderWidth: 0,
    };
  });
}

// Stacked lines need each other's points.
function isThinned(spec) {
  return !spec.stacked && Math.max(...spec.lines.map((line) => line.column.length)) > 1000;
}

// Draws a line chart into `into`. `spec`: id, title, format (of FORMATS), lines,
// and where wanted zero, stacked, stepped, log ("x", "xy": the axes that are
// logarithmic until a button turns them), axis (instead of that of the view), keys
// (false: none), note (below it). A line: key (of what is switched
// together), label, run, column, color, dash; and where wanted fill (down to
// which line below: "-1", ...), faint (a band's edge: the opacity of its key).
// `view` is what the page is set to: axis, logX, logY (set of ids), hidden (set of
// "id/key"), redraw(). Returns {chart, shape, take}: take(spec) shows a spec of
// the same shape instead.
function lineChart(into, spec, view) {
  const frame = card(spec.title);
  into.append(frame.box);
  const format = FORMATS[spec.format], axis = spec.axis ?? AXES[view.axis];
  const {logX, logY} = logsOf(spec, view);

  const chart = new Chart(frame.canvas, {
    type: "line",
    data: {datasets: datasetsOf(spec, view)},
    options: {
      animation: false, parsing: false, normalized: true, maintainAspectRatio: false,
      interaction: {mode: "nearest", axis: "x", intersect: false},
      scales: {
        x: {...scale({...axis, log: logX}), ...(logX ? {} : wholeRange(spec, axis))},
        y: {...(logY ? {} : shareRange(spec)), ...scale({log: logY, format, title: "", zero: spec.zero,
                      whole: spec.format === "count"}), stacked: spec.stacked === true},
      },
      plugins: {
        legend: {display: false},
        decimation: {enabled: isThinned(spec), algorithm: "min-max"},
        tooltip: Object.assign(tooltipStyle(), {
          callbacks: {
            title(items) {
              if (items.length === 0) return "";
              if (spec.axis) return `${axis.title} ${axis.format(items[0].raw.x)}`;
              const run = items[0].dataset.run, i = items[0].raw.i;
              return `round ${run.round[i]}  ·  ${span(run.elapsed[i])}  ·  ` +
                  FORMATS.bytes(run.bytes_up[i] + run.bytes_down[i]);
            },
            label: (item) => ` ${shorten(item.dataset.label, 48)}  ${format(item.raw.y)}`,
          },
        }),
      },
    },
  });

  const log = element("button", {className: "toggle", textContent: "log",
                                 title: "A logarithmic axis"});
  log.setAttribute("aria-pressed", logY);
  log.onclick = () => {
    if (!view.logY.delete(spec.id)) view.logY.add(spec.id);
    view.redraw();
  };
  frame.head.append(log);
  if (spec.keys !== false) addKeys(frame.keys, chart, spec, view);
  if (spec.note) frame.box.append(element("p", {className: "quiet", textContent: spec.note}));
  const take = (next) => {
    datasetsOf(next, view).forEach((dataset, i) => Object.assign(chart.data.datasets[i], dataset));
    chart.options.plugins.decimation.enabled = isThinned(next);
    if (!logX) Object.assign(chart.options.scales.x, wholeRange(next, axis));
    if (!logY) Object.assign(chart.options.scales.y, {suggestedMin: undefined,
                                                      suggestedMax: undefined}, shareRange(next));
    chart.update("none");
  };
  return {chart, shape: lineShape(spec), take};
}

const lineShape = (spec) => JSON.stringify([spec.title, ...spec.lines.map((line) => line.label)]);

// One button for each key that the lines have.
function addKeys(into, chart, spec, view) {
  const several = new Set(spec.lines.map((line) => line.run)).size > 1;
  const keys = new Map();
  for (const line of spec.lines) if (!keys.has(line.key)) keys.set(line.key, line);
  if (keys.size < 2 && !spec.always) return;
  for (const [key, line] of keys) {
    const id = `${spec.id}/${key}`;
    const button = element("button", {},
        dash(several ? css("--quiet") : line.color, line.dash || [], spec.stacked ? 0.6 : line.faint),
        shorten(key, 40));
    button.setAttribute("aria-pressed", !view.hidden.has(id));
    button.onclick = () => {
      if (!view.hidden.delete(id)) view.hidden.add(id);
      button.setAttribute("aria-pressed", !view.hidden.has(id));
      chart.data.datasets.forEach((dataset, i) => {
        if (dataset.key === key) chart.setDatasetVisibility(i, !view.hidden.has(id));
      });
      chart.update("none");
    };
    into.append(button);
  }
}
