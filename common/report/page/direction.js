// ---------------------------------------------- diagnostics.direction_gap: charts

const DIRECTION_GAP = "‖w/‖w‖ − v/‖v‖‖, from 0 to 2";

// Title, axes that are logarithmic, lines: [key, name in run.measured.numbers].
const DIRECTION_CHARTS = [
  ["gap", "Gap of the model", "xy", [
    ["to the reference", "gap"], ["to centralized, as many steps", "centralized_steps_gap"],
    ["to centralized, a step a round", "centralized_rounds_gap"]]],
  ["reference", "Gap to the reference", "xy", [
    ["model", "gap"], ["centralized, as many steps", "centralized_steps_reference_gap"],
    ["centralized, a step a round", "centralized_rounds_reference_gap"]]],
  ["distance", "Distance to the minimum, as a share of it", "xy", [["model", "distance"]]],
  ["margin", "Margin, as a share of the largest", "x", [["model", "margin_share"]]],
  ["log-loss", "Logarithm of the loss", "x", [["model", "log_loss"]]],
  ["norm", "Norm of the model", "x", [["model", "norm"]]],
  ["drift", "Client drift, as a share of the mean change", "xy", [["drift", "drift_share"]]],
  ["client-gap", "Gap of the clients' own models to the reference", "xy", [
    ["median", "client_gap_median"], ["least", "client_gap_min"], ["most", "client_gap_max"]]],
];

// Specs for lineChart; `lines` makes lines of kinds [key, run -> column].
function directionSpecs(lines) {
  return DIRECTION_CHARTS.map(([id, title, log, kinds]) => {
    const of_measured = kinds.map(([key, name]) => [key, (run) => own(run.measured.numbers, name)]);
    const drawn = lines(of_measured)
        .map((line) => ({...line, run: line.run.measured}))
        .filter((line) => !log.includes("y") || line.column.some((value) => value > 0));
    return {id: `direction/${id}`, title, format: "number", log, lines: drawn};
  });
}

// What is known since before the first round, in words.
function showDirection(runs) {
  const told = runs.filter((run) => run.direction.length > 0);
  byId("direction").replaceChildren(...told.map((run) => element("article", {className: "card"},
      element("h2", {textContent: runs.length > 1 ? `Direction of ${run.name}` : "Direction"}),
      ...run.direction.map((sentence) => element("p", {textContent: sentence})),
      element("p", {className: "quiet", textContent: `A gap is ${DIRECTION_GAP}.`}))));
}
