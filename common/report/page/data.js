// ------------------------------------------------------------- getting the data
//
// One object: {version, runs: [run]}. A run has
//   name, state, reason, planned (rounds), run_file (text);
//   rounds_run, stride: how many rounds there were, and that every stride-th is
//     here, and the latest. All columns below have one number, or null, for each;
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
//   labels: {names, counts: [part][label], parts (also those not in counts),
//     why (there are none)}.

// The data that stands in this file; null where it is to be fetched.
function embeddedData() {
  const element = document.getElementById("data");
  return element === null ? null : JSON.parse(element.textContent);
}

async function fetchedData() {
  const answer = await fetch("data.json", {cache: "no-store"});
  if (!answer.ok) throw new Error(`data.json: ${answer.status} ${answer.statusText}`);
  return answer.json();
}

function last(column) {
  for (let i = column.length - 1; i >= 0; --i) if (column[i] !== null) return column[i];
  return null;
}

const has = (column) => column.some((value) => value !== null);

// A column by name. Clients choose names, and may choose "constructor".
const own = (columns, name) => Object.hasOwn(columns, name) ? columns[name] : undefined;

// The rows of a run's matrix: values[client][round], null where there is none.
function cellsOf(run, member) {
  const rows = run.clients.map(() => new Array(run.round.length).fill(null));
  run.cells.forEach((cells, round) => {
    cells[0].forEach((client, i) => {
      const value = cells[member][i];
      if (value !== null) rows[client][round] = value;
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
