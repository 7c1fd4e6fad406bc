// --------------------------------------------------------------- the live pages
//
// / lists the runs, /run/NAME shows one. The coordinator sends (server/http):
//   runs: of all runs their RunStatus (admin.proto), to the list;
//   report: what data.js tells of, then rounds: updates to it (append);
//   status: the run's RunStatus, whenever it changes.

const ONE_RUN = location.pathname.startsWith("/run/");
const MOST_CLIENTS = 200;  // in the table

const stateName = (status) => status.state.toLowerCase();
const hasEnded = (status) => ["finished", "stopped", "failed"].includes(stateName(status));

// What goes on: the phase, or why it waits or ended.
function doing(status) {
  const parts = [];
  if (status.detail !== "") parts.push(status.detail);
  if (status.phase !== "" && !hasEnded(status)) {
    parts.push(`round ${Number(status.round).toLocaleString("en")}: ${status.phase}` +
               (status.phase === "aggregate" ? "" : ` ${status.done}/${status.asked}`));
  }
  if (status.eta_seconds !== undefined && !hasEnded(status)) {
    parts.push(`${span(status.eta_seconds)} to go`);
  }
  return parts.join("  ·  ");
}

// The last refusal of each client that has one, by name.
function lastRefusals(run) {
  const found = new Map();
  for (let i = run.round.length - 1; i >= 0; --i) {
    const [clients, states] = run.cells[i];
    clients.forEach((client, k) => {
      const name = run.clients[client].name;
      if (states[k] < 3 || found.has(name)) return;
      found.set(name, `round ${run.round[i]}: ${run.refusals[states[k] - 3].reason}`);
    });
  }
  return found;
}

// The clients with their state and what went wrong last; `run` may be null.
function clientTable(title, status, run) {
  const known = new Map(run === null ? [] : run.clients.map((client) => [client.name, client]));
  const refusals = run === null ? new Map() : lastRefusals(run);
  const rows = status.client.map(({name, state, reason}) => ({name, state, reason}));
  const told = new Set(rows.map((row) => row.name));
  for (const name of known.keys()) if (!told.has(name)) rows.push({name, state: "", reason: ""});
  if (rows.length === 0) return [];
  const order = new Intl.Collator("en", {numeric: true});
  rows.sort((a, b) => order.compare(a.name, b.name));

  const table = element("table"), head = table.insertRow();
  const columns = ["Client", "Now", "What went wrong last", ...run === null ? [] : ["Asked", "Counted"]];
  for (const name of columns) {
    const number = name === "Asked" || name === "Counted";
    head.append(element("th", {textContent: name, className: number ? "number" : ""}));
  }
  for (const {name, state, reason} of rows.slice(0, MOST_CLIENTS)) {
    const row = table.insertRow();
    row.insertCell().append(element("span", {textContent: shorten(name, 60), title: name}));
    row.insertCell().append(element("span", {textContent: state || "–", className: `state ${state}`}));
    Object.assign(row.insertCell(), {className: "wide", textContent: reason || refusals.get(name) || ""});
    if (run === null) continue;
    for (const count of [known.get(name)?.asked ?? 0, known.get(name)?.counted ?? 0]) {
      Object.assign(row.insertCell(), {className: "number", textContent: count.toLocaleString("en")});
    }
  }
  const card = element("article", {className: "card"}, element("h2", {textContent: title}),
      element("div", {className: "scroll"}, table));
  if (rows.length > MOST_CLIENTS) {
    card.append(element("p", {className: "quiet", textContent: `and ${rows.length - MOST_CLIENTS} more`}));
  }
  return [card];
}

function showRuns(statuses) {
  byId("title").textContent = statuses.length === 1 ? "1 run" : `${statuses.length} runs`;
  const table = element("table"), head = table.insertRow();
  for (const name of ["Run", "State", "", "Round", "Loss", "Accuracy", "Clients", "Up", "Down", "Time"]) {
    const number = name !== "Run" && name !== "State" && name !== "";
    head.append(element("th", {textContent: name, className: number ? "number" : ""}));
  }
  for (const status of statuses) {
    const row = table.insertRow();
    row.insertCell().append(element("a", {
      textContent: status.run, href: `/run/${encodeURIComponent(status.run)}${location.search}`}));
    row.insertCell().append(element("span", {textContent: stateName(status),
                                             className: `state ${stateName(status)}`}));
    Object.assign(row.insertCell(), {className: "wide", textContent: doing(status)});
    const text = (value, format) => value === undefined ? "–" : format(Number(value));
    for (const value of [
      `${Number(status.round).toLocaleString("en")} / ${Number(status.rounds).toLocaleString("en")}`,
      text(status.loss, FORMATS.number), text(status.accuracy, FORMATS.percent),
      text(status.clients, FORMATS.count), text(status.bytes_up, FORMATS.bytes),
      text(status.bytes_down, FORMATS.bytes), text(status.seconds, span),
    ]) Object.assign(row.insertCell(), {className: "number", textContent: value});
  }
  byId("summary").replaceChildren(element("div", {className: "runs scroll"}, table));
  byId("clients").replaceChildren(...statuses.filter((status) => !hasEnded(status))
      .flatMap((status) => clientTable(`Clients of ${status.run}`, status, null)));
}

// What the page knows. What comes while nobody looks is shown once somebody does.
const live = {data: null, status: null, runs: [], drawn: false, stale: false, updates: 0};

function show() {
  if (document.hidden) {
    live.stale = true;
    return;
  }
  live.stale = false;
  if (!ONE_RUN) {
    applyTheme();
    showRuns(live.runs);
  } else if (live.data !== null && live.status !== null) {
    const [run] = live.data.runs;
    run.state = stateName(live.status);
    run.reason = doing(live.status);
    if (live.drawn) refresh(live.data);
    else draw(live.data);
    live.drawn = true;
    showStatus();
  } else if (live.status !== null) {
    byId("title").textContent = live.status.run;
    byId("reason").textContent = `${stateName(live.status)}  ·  ${doing(live.status)}`;
  }
  tell();
}

// What changes more often than the charts.
function showStatus() {
  const [run] = live.data.runs;
  run.state = stateName(live.status);
  run.reason = doing(live.status);
  showSummary(live.data.runs);
  byId("clients").replaceChildren(...clientTable("Clients", live.status, run));
}

// For tests, as check().
function tell() {
  if (!query.has("check")) return;
  check(performance.now());
  document.documentElement.dataset.live = JSON.stringify({
    updates: ++live.updates, state: live.status === null ? "" : stateName(live.status),
    rounds: live.data === null ? 0 : live.data.runs[0].rounds_run});
}

function connect() {
  const source = new EventSource(ONE_RUN ? `${location.pathname}/events` : "/events");
  const on = (name, take) => source.addEventListener(name, (event) => {
    if (name !== "status") byId("connection").textContent = "";
    take(JSON.parse(event.data));
  });
  on("runs", (runs) => {
    live.runs = runs;
    show();
  });
  on("report", (data) => {
    live.data = data;
    show();
  });
  on("rounds", (update) => {
    append(live.data.runs[0], update);
    show();
  });
  // A file of the run cannot be read.
  source.addEventListener("trouble", (event) => {
    byId("connection").textContent = JSON.parse(event.data);
  });
  on("status", (status) => {
    live.status = status;
    if (!live.drawn || hasEnded(status)) show();
    else if (!document.hidden) showStatus();
    if (hasEnded(status)) source.close();
  });
  source.onerror = () => {
    const ended = live.runs.length > 0 && live.runs.every(hasEnded);
    byId("connection").textContent = ended ? "" : "The coordinator does not answer, or has no room for " +
        "another viewer. What stands here may be old; trying again …";
    // After an error status the browser does not try again by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

byId("notes").before(element("p", {id: "connection"}));
byId("charts").after(element("section", {id: "clients"}));
if (ONE_RUN) {
  byId("title").before(element("a", {textContent: "‹ all runs", href: `/${location.search}`}));
} else {
  for (const id of ["against", "log-x", "theme", "details"]) byId(id).hidden = true;
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && live.stale) show();
});
view.redraw = show;
applyTheme();
connect();
