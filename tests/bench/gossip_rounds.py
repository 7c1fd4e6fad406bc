#!/usr/bin/python3
"""What a round of gossip takes, against a ring all-reduce and the α–β model.

    tests/bench/gossip_rounds.py [--mib 8] [--peers 4,8,16]
    tests/bench/gossip_rounds.py --rate 1e9 --delay 0.02      (as root)

Each peer is a process that trains nothing: what a round takes is its exchange
over gRPC, its mixing and its bookkeeping. p50 and p90 are over all peers and
rounds but the first few. "model" is d·M/B + α, or 2(n−1)/n·M/B + 2(n−1)·α for the
ring all-reduce, as `parley topology` computes it, with α and B of the same run:
plain TCP sockets of as many processes, each of which sends as many bytes to the
next one as the model has while it receives as many (plain_ring.py). "against
all-reduce" is the p50 of the ring all-reduce (exact_average) over that of the
row: how many times faster.

Without --rate and --delay over loopback, where the processor is the network. With
them over network namespaces: network.py says what is modelled. A star marks rows
in which the machine's processors were busy for more than 90 % of the time: there
they, and not the modelled network, bound the round; take a lower --rate.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
sys.path.insert(0, str(SUPPORT))
import network  # noqa: E402

WARM_UP = 3
BUSY = 0.9
PATIENCE = 170  # seconds, for one row
PORT = 7000     # where each host is a namespace of its own
GRAPHS = {
    "ring all-reduce": "exact_average {}",
    "one_peer_exponential": "topology { one_peer_exponential {} }",
    "ring": "topology { ring {} }",
    "static_exponential": "topology { static_exponential {} }",
}
RUN = """
model {{ custom {{ name: "idle" spec {{ dtype: FLOAT32
  tensors {{ name: "w" shape: {parameters} merge: MEAN }} }} }} }}
data {{ partition {{ parts: {peers} }} }}
local {{ gd {{}} step_size {{ initial: 1 }} }}
start {{ zeros {{}} }}
stop {{ rounds: {rounds} }}
gossip {{ {gossip} edge_seconds: 60 }}
"""


class Loopback:
    """All hosts are this machine; other ports each time."""

    relay_counts = None
    round_trip_bytes = 0

    def __init__(self, hosts):
        self._hosts = hosts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def addresses(self):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(self._hosts)]
            for s in sockets:
                s.bind(("127.0.0.1", 0))
            return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]

    def inside(self, _):
        return []


class Spaces(network.Network):
    def __init__(self, bin_dir, hosts, delay, rate):
        super().__init__(bin_dir, hosts, delay, rate, seconds=5 * PATIENCE)
        self._hosts = hosts
        self._port = PORT

    def addresses(self):
        self._port += 1  # the last one's may still be winding up
        return [f"{self.address(i)}:{self._port}" for i in range(self._hosts)]


def processor_seconds():
    """Of all processors since the start: busy, and all."""
    with open("/proc/stat") as stat:
        ticks = [int(x) for x in stat.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def busy_share(begin):
    busy, whole = (b - a for a, b in zip(begin, processor_seconds()))
    return busy / max(1, whole)


@contextlib.contextmanager
def processes(commands, **how):
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen([str(word) for word in command], **how))
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure_path(net, peers, size, repetitions):
    """α in seconds, B in bits a second and each way, and the busy share."""
    addresses = ",".join(net.addresses())
    begin = processor_seconds()
    with processes([[*net.inside(i), sys.executable, SUPPORT / "plain_ring.py", i, addresses,
                     size, repetitions] for i in range(peers)],
                   stdout=subprocess.PIPE, text=True) as started:
        said = [p.communicate(timeout=PATIENCE)[0].split() for p in started]
        if any(p.returncode for p in started):
            sys.exit("the plain exchange failed")
    latency = float(said[0].pop(0)) / 2
    # Of a repetition the last to end; the first ones open the window.
    times = [max(float(s[i]) for s in said) for i in range(WARM_UP, repetitions)]
    seconds = max(statistics.median(times) - latency, 1e-9)
    return latency, 8 * size / seconds, busy_share(begin)


def count_rounds(folder):
    try:
        return (folder / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def measure_rounds(bin_dir, net, peers, gossip, parameters, rounds):
    """Seconds of each round and peer, sorted, and the busy share."""
    with tempfile.TemporaryDirectory() as temp:
        folder = pathlib.Path(temp)
        (folder / "run.textproto").write_text(
            RUN.format(parameters=parameters, peers=peers, rounds=rounds + WARM_UP, gossip=gossip))
        (folder / "peers.textproto").write_text("".join(
            f'peers {{ name: "peer-{i}" address: "{address}" }}\n'
            for i, address in enumerate(net.addresses())))
        lookahead = max(1 << 20, 2 * net.round_trip_bytes)
        deadline = time.monotonic() + PATIENCE
        with processes([[*net.inside(i), f"{bin_dir}/idle-peer", "--gossip",
                         folder / "run.textproto", "--peers", folder / "peers.textproto",
                         "--index", i, "--dir", folder / f"{i}", "--log", folder / f"{i}.log",
                         "--insecure", "--lookahead", lookahead]
                        for i in range(peers)]) as started:
            begin, busy = None, 0
            while any(p.poll() is None for p in started):
                done = count_rounds(folder / "0")
                if begin is None and done >= WARM_UP:
                    begin = processor_seconds()
                if done < WARM_UP + rounds and begin is not None:
                    busy = busy_share(begin)
                if time.monotonic() > deadline or any(p.poll() for p in started):
                    break
                time.sleep(0.05)
            if any(p.poll() != 0 for p in started):
                logs = "\n".join(file.read_text()[-300:] for file in folder.glob("*.log"))
                sys.exit(f"a peer failed or was too slow:\n{logs}")
        seconds = []
        for i in range(peers):
            for line in (folder / f"{i}" / "metrics.jsonl").read_text().splitlines():
                row = json.loads(line)
                if row["metrics"]["lost_edges"] > 0:
                    sys.exit(f"peer {i} lost an edge in round {row['round']}")
                if WARM_UP < row["round"] <= WARM_UP + rounds:
                    seconds.append(row["seconds"]["round"])
    return sorted(seconds), busy


def predict(bin_dir, graph, peers, size, rate, latency):
    """What `parley topology` says: payloads of a peer and round; seconds."""
    averages = graph == "ring all-reduce"
    out = json.loads(subprocess.check_output(
        [f"{bin_dir}/parley", "topology", "ring" if averages else graph, "--peers", str(peers),
         "--model-bytes", str(size), "--bandwidth", str(rate), "--latency", str(latency),
         "--json"]))
    if averages:
        return 2 * (peers - 1) / peers, out["ring_all_reduce_seconds"]
    return out["mean_degree"], out["round_seconds"]


def measure(args, net, peers):
    parameters = int(args.mib * (1 << 20) / 4)
    size = 4 * parameters
    latency, rate, path_busy = measure_path(net, peers, size, args.rounds + WARM_UP)
    print(f"\n{peers} peers: α {1e3 * latency:.3f} ms, B {1e-9 * rate:.3f} Gb/s by plain TCP "
          f"(processors {100 * path_busy:.0f} % busy)\n")
    print("| graph | payloads | p50 s | p90 s | model s | p50/model | against all-reduce | busy |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    all_reduce = None
    bound = []
    for graph, gossip in GRAPHS.items():
        seconds, busy = measure_rounds(args.bin, net, peers, gossip, parameters, args.rounds)
        p50, p90 = (seconds[int(q * (len(seconds) - 1))] for q in (0.5, 0.9))
        all_reduce = all_reduce or p50
        payloads, model = predict(args.bin, graph, peers, size, rate, latency)
        star = "*" if busy > BUSY else ""
        if star:
            bound.append(graph)
        print(f"| {graph} | {payloads:.3g} | {p50:.4f} | {p90:.4f} | {model:.4f} | "
              f"{p50 / model:.2f} | {all_reduce / p50:.2f} | {100 * busy:.0f} %{star} |", flush=True)
    if bound and args.rate:
        print(f"\nWarning: with {peers} peers the processors, not the modelled network, bound "
              f"{', '.join(bound)}.", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--mib", type=float, default=8, help="of the model, default 8")
    parser.add_argument("--peers", default="4,8,16")
    parser.add_argument("--rounds", type=int, default=12, help="that are timed, of each row")
    parser.add_argument("--rate", type=float, help="bits a second that each peer may send")
    parser.add_argument("--delay", type=float, help="seconds, one way")
    args = parser.parse_args()
    namespaces = args.rate is not None or args.delay is not None
    reason = network.why_not() if namespaces else ""
    if reason:
        sys.exit(f"skipped: {reason}")
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        congestion_control = file.read().strip()
    path = (f"namespaces, {args.rate or 0:.4g} bit/s (0: no limit), {1e3 * (args.delay or 0):g} ms "
            "one way" if namespaces else "loopback")
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, "
          f"TCP {congestion_control}; {path}; a model of {args.mib:g} MiB, "
          f"{args.rounds} rounds a row")
    for peers in (int(x) for x in args.peers.split(",")):
        with (Spaces(args.bin, peers, args.delay or 0, args.rate) if namespaces
              else Loopback(peers)) as net:
            measure(args, net, peers)
        counts = net.relay_counts
        if counts is None:
            continue
        print(f"\nThe relay passed {counts['packets']} packets on, {1e3 * counts['mean_late']:.2f} "
              f"ms late on average, {1e3 * counts['most_late']:.1f} at most, and lost "
              f"{counts['dropped']}.", flush=True)
        if counts["mean_late"] > 0.1 * (args.delay or 0.02):
            print("Warning: it could not keep up; take a lower --rate.", flush=True)


if __name__ == "__main__":
    main()
