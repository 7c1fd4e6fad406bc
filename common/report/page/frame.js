// ------------------------------------------------------- what all pages have
//
// A page that is made of this has a `view` with theme and redraw(), and draw(data).

const errors = [];
window.addEventListener("error", (event) => errors.push(event.message));
window.addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
document.addEventListener("securitypolicyviolation",
                          (event) => errors.push(`${event.violatedDirective}: ${event.blockedURI}`));

// What may stand in the address: ?theme=dark, ?axis=time, ?check.
const query = new URLSearchParams(location.search);

const byId = (id) => document.getElementById(id);
let charts = [];

function applyTheme() {
  const dark = view.theme === "dark" ||
      (view.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  cssValues.clear();
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
}

// Buttons of which one is pressed; `choices`: [value, text].
function choose(fieldset, choices, current, take) {
  fieldset.querySelectorAll("button").forEach((button) => button.remove());
  for (const [value, text] of choices) {
    const button = element("button", {textContent: text, title: text});
    button.setAttribute("aria-pressed", value === current);
    button.onclick = () => {
      take(value);
      view.redraw();
    };
    fieldset.append(button);
  }
}

function stateOf(run) {
  return element("span", {className: `state ${run.state}`, textContent: run.state});
}

// For tests: what was drawn, told in an attribute of the document.
function check(milliseconds) {
  const drawn_charts = charts.map(({chart}) => chart);
  const blank = drawn_charts.filter((chart) => {
    const {ctx, chartArea: area} = chart, ratio = chart.currentDevicePixelRatio;
    const pixels = ctx.getImageData(area.left * ratio, area.top * ratio,
                                    area.width * ratio, area.height * ratio).data;
    const plain = new Set(["--grid", "--card"].map((name) => rgb(css(name)).join()));
    let drawn = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      if (pixels[at + 3] < 200) continue;
      if (!plain.has(`${pixels[at]},${pixels[at + 1]},${pixels[at + 2]}`)) ++drawn;
    }
    return drawn < 20;
  });
  document.documentElement.dataset.check = JSON.stringify({
    charts: drawn_charts.map((chart) => chart.canvas.getAttribute("aria-label")),
    blank: blank.map((chart) => chart.canvas.getAttribute("aria-label")), errors,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    milliseconds,
  });
}

function start(data) {
  try {
    draw(data);
  } catch (error) {
    errors.push(`${error}\n${error.stack}`);
    byId("notes").textContent = `The charts cannot be drawn: ${error}`;
  }
  const milliseconds = performance.now();  // since the page was asked for
  if (query.has("check")) check(milliseconds);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.redraw());
