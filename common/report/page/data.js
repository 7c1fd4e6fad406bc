// --------------------------------------------------------------------- the data
//
// One object: {version, runs: [run]}. A run has
//   name, state, reason, planned (rounds), run_file (text);
//   rounds_run, stride: how many rounds there were, and that every stride-th is
//     here, and the latest. All columns below have one number, or null, for each;
//   from: of an update to it (see append): how many of its rounds stay; else 0;
//   round, elapsed (seconds), bytes_up, bytes_down (both since the start),
//     train_loss, central_loss, central_accuracy, federated_loss,
//     federated_accuracy, connected, asked, counted;
//   quality: "accuracy" or "loss", what follows is about: spread_0, spread_10,
//     spread_50, spread_90, spread_100, the quantiles over the clients;
//   seconds, metrics: columns by name; metrics_left_out: there were more names;
//   clients: [{name, asked, counted}], more_clients: there were others;
//   cells: for each round [[client index], [state], [quality]], where a state is
//     0 evaluated only, 1 counted, 2 asked only, 3 + i refused for refusals[i];
//   refusals: [{reason, times, first, last (rounds), clients, more_clients}];
//   direction: sentences on what diagnostics.direction_gap measures against;
//   measured: {round, elapsed, bytes_up, bytes_down, numbers: columns by name (of
//     RoundReport::direction)}, of the rounds at which it measured;
//   gossip: null, or of a gossip run {graph (SVG, or empty), rho (or null)};
//   traffic: [from, to, bytes] of what its peers (indices of clients) sent;
//   labels: {names, counts: [part][label], parts (also those not in counts),
//     why (there are none)}.

function last(column) {
  for (let i = column.length - 1; i >= 0; --i) if (column[i] !== null) return column[i];
  return null;
}

// Takes an update in: columns and cells go on after the first `from` rounds, all
// else is new.
function append(run, update) {
  const {from} = update;
  const joined = (before, after) => {
    const length = from + update.round.length;
    const column = before === undefined ? [] : before.slice(0, from);
    while (column.length < from) column.push(null);
    column.push(...after ?? []);
    while (column.length < length) column.push(null);
    return column;
  };
  for (const [name, value] of Object.entries(update)) {
    if (name === "seconds" || name === "metrics") {
      const names = new Set([...Object.keys(run[name]), ...Object.keys(value)]);
      run[name] = Object.fromEntries(
          [...names].map((key) => [key, joined(own(run[name], key), own(value, key))]));
    } else if (Array.isArray(value) && !["clients", "refusals", "direction", "traffic"].includes(name)) {
      run[name] = joined(run[name], value);
    } else {
      run[name] = value;
    }
  }
}

const has = (column) => column.some((value) => value !== null);

// A column by name. Clients choose names, and may choose "constructor".
const own = (columns, name) => Object.hasOwn(columns, name) ? columns[name] : undefined;

// The rows of a run's matrix: values[client][round], null where there is none, or
// only `nothing`.
function cellsOf(run, member, nothing = null) {
  const rows = run.clients.map(() => new Array(run.round.length).fill(null));
  run.cells.forEach((cells, round) => {
    cells[0].forEach((client, i) => {
      const value = cells[member][i];
      if (value !== null && value !== nothing) rows[client][round] = value;
    });
  });
  return rows;
}

// The clients' indices by name, "client-9" before "client-10".
function clientOrder(run) {
  const order = new Intl.Collator("en", {numeric: true});
  return run.clients.map((_, i) => i)
      .sort((a, b) => order.compare(run.clients[a].name, run.clients[b].name));
}
