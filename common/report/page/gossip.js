// --------------------------------------------------------------- gossip: charts

// Of a run's metrics; the charts below are theirs.
const GOSSIP_METRICS = ["consensus", "contraction", "rho", "neighbour_distance",
                        "used_edges", "lost_edges", "mass", "conservation_error", "in_doubt",
                        "written_off", "mass_in_flight", "mass_added", "sum", "sum_written_off",
                        "sum_in_flight", "sum_added", "balance_error"];
const isGossip = (run) => run.gossip !== null;

// ρ of each round's graph; null where it has none.
function rhosOf(run) {
  const told = own(run.metrics, "rho");
  return told !== undefined ? told : run.round.map(() => run.gossip.rho);
}

// The first rounds whose graph is not that of the rounds before, as far as ρ
// tells.
function otherGraphs(run) {
  const rhos = rhosOf(run), begun = rhos.findIndex((rho) => rho !== null);
  return run.round.filter((round, i) =>
      begun >= 0 && i > begun && rhos[i] !== null && rhos[i - 1] !== null &&
      Math.abs(rhos[i] - rhos[i - 1]) > 1e-9);
}

// What mixing alone, by ρ a round, would leave of the first distance that there
// was to shrink, as far down as a tenth of the least that was measured.
function mixedAlone(run) {
  const distance = own(run.metrics, "consensus"), rhos = rhosOf(run);
  const first = distance === undefined ? -1 : distance.findIndex((value) => value > 0);
  if (first < 0 || rhos.every((rho) => rho === null)) return undefined;
  const least = distance.reduce((a, b) => b > 0 && b < a ? b : a, Infinity);
  let left = distance[first];
  return run.round.map((round, i) => {
    if (i < first || left === null) return null;
    if (i > first) {
      left = rhos[i] === null ? null : left * rhos[i] ** (2 * (round - run.round[i - 1]));
    }
    return left >= least / 10 ? left : null;
  });
}

// Specs for lineChart; `lines` makes lines of kinds [key, run -> column].
function gossipSpecs(lines) {
  const metric = (name) => (run) => isGossip(run) ? own(run.metrics, name) : undefined;
  const ofGossip = (column) => (run) => isGossip(run) ? column(run) : undefined;
  return [
    {id: "consensus", title: "Consensus distance, (1/m) Σ ‖x − x̄‖²", format: "number", log: "y",
     lines: lines([["measured", metric("consensus")],
                   ["ρ^2k, were there mixing alone", ofGossip(mixedAlone)]])},
    {id: "contraction", title: "Contraction of ‖x − x̄‖ by a round's mixing", format: "number",
     zero: true, lines: lines([
       ["measured", metric("contraction")],
       ["ρ, the most", ofGossip(rhosOf)]])},
    {id: "edges", title: "Ends of edges", format: "count", zero: true, lines: lines([
      ["used", metric("used_edges")], ["given up", metric("lost_edges")],
      ["edges in doubt", metricThatMoves("in_doubt")]])},
    {id: "conservation", title: "Conservation error, relative", format: "number",
     log: "y", lines: lines([["over edges", metricThatMoves("conservation_error")],
                             ["of the balance", metricThatMoves("balance_error")]])},
    {id: "mass", title: "Mass Σω of the peers", format: "number", zero: true, lines: lines([
      ["of those that told of the round", metricThatMoves("mass")],
      ["written off with peers that were lost", metricThatMoves("written_off")]])},
    {id: "sum", title: "Sum Σx of the peers' models", format: "number", lines: lines([
      ["of those that told of the round", metric("sum")],
      ["written off with peers that were lost", metricThatMoves("sum_written_off")],
      ["begun with and added", metric("sum_added")]])},
  ];
}

// A metric, but where it is the same in all rounds: the words below say that.
function metricThatMoves(name) {
  return (run) => {
    const column = isGossip(run) ? own(run.metrics, name) : undefined;
    const first = column?.find((value) => value !== null);
    return column?.some((value) => value !== null && Math.abs(value - first) > 1e-9 * Math.abs(first))
        ? column : undefined;
  };
}

// What the audit of the edges found, in words; empty where there was none.
function conservation(run) {
  const errors = ["conservation_error", "balance_error"].map((name) => own(run.metrics, name))
      .filter((error) => error !== undefined).flat();
  if (errors.length === 0) return "";
  const lastOf = (name) => own(run.metrics, name)?.filter((value) => value !== null).at(-1) ?? 0;
  const most = errors.reduce((most, value) => Math.max(most, value ?? 0), 0);
  const doubts = lastOf("in_doubt"), off = lastOf("written_off");
  const parts = ["Σ over the peers conserved " + (most > 0 ? `to ${most.toExponential(0)}` : "exactly")];
  if (doubts > 0) parts.push(`${doubts} ${doubts === 1 ? "edge" : "edges"} in doubt at the end`);
  if (own(run.metrics, "written_off") !== undefined) {  // else one peer tells for itself
    parts.push(off > 0 ? `written off with lost peers: ω ${FORMATS.number(off)}, ` +
        `Σx ${FORMATS.number(lastOf("sum_written_off"))}` : "nothing written off");
  }
  return `${parts.join("; ")}.`;
}

// Who sent how much to whom.
function trafficMatrix(run) {
  if (run.traffic.length === 0) return [];
  const peers = Math.max(...run.traffic.map(([from, to]) => Math.max(from, to))) + 1;
  const values = Array.from({length: peers}, () => new Array(peers).fill(null));
  for (const [from, to, bytes] of run.traffic) values[from][to] = bytes;
  const most = run.traffic.reduce((a, [, , bytes]) => Math.max(a, bytes), 1);
  const color = ramp(), name = (peer) => run.clients[peer]?.name ?? String(peer);
  return [{
    title: "Bytes from peer to peer", values, merge: "mean",
    rowNames: values.map((_, peer) => name(peer)),
    columnNames: values.map((_, peer) => String(peer)), xTitle: "to peer",
    color: (bytes) => color(bytes / most), write: FORMATS.bytes,
    tell: (from, to) => `from ${name(from)} to ${name(to)}: ` +
        (values[from][to] === null ? "nothing" : FORMATS.bytes(values[from][to])),
    keys: [rampKey("0 B", FORMATS.bytes(most)), colorKey(css("--absent"), "nothing")],
  }];
}

// The graph, in the page's colours.
function showGraph(run) {
  const place = byId("graph");
  place.replaceChildren();
  if (!isGossip(run)) return;
  const others = otherGraphs(run);
  const words = [
    others.length === 0 || run.gossip.graph === "" ? ""
        : `This was the graph at first; peers that were lost or joined made others, from round ${
            others.slice(0, 5).join(", ")}${others.length > 5 ? ", …" : ""} on.`,
    conservation(run),
  ].filter((text) => text !== "").join(" ");
  const note = words === "" ? [] : [element("p", {className: "quiet", textContent: words})];
  if (run.gossip.graph === "") {
    if (words !== "") {
      place.append(element("article", {className: "card"},
          element("header", {}, element("h2", {textContent: "Conservation"})), ...note));
    }
    return;
  }
  const svg = new DOMParser().parseFromString(run.gossip.graph, "image/svg+xml").documentElement;
  svg.querySelectorAll("style").forEach((style) => style.remove());
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Who exchanges with whom");
  place.append(element("article", {className: "card"},
      element("header", {}, element("h2", {textContent: "Who exchanges with whom"})),
      element("div", {className: "scroll"}, document.importNode(svg, true)), ...note));
}
