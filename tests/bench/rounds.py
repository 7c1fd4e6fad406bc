#!/usr/bin/python3
"""Zero-work rounds: what a round costs when no client computes anything.

    tests/bench/rounds.py [--bin build/release/bin] [PARAMETERS:CLIENTS ...]

For each pair: p50 and p99 of a round's wall time (from the asking of the cohort
to the new model), the coordinator's CPU seconds a round and its peak RSS: all of
it, and the anonymous part. The rest is mostly staging files in the page cache,
which the system may take back. The clients share up to four processes.
Metrics: the time to write the run's lines of metrics.jsonl once more
(metrics_bench), as a share of the rounds' p50.
"""

import argparse
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import PeakAnonymous, Server, idle_clients, idle_run_file  # noqa: E402

DEFAULT = ["100000:10", "1000000:10", "10000000:10", "100000:50", "1000000:50",
           "10000000:50", "100000:200", "1000000:200"]
WARM_UP = 3


def measure(bin_dir, parameters, clients):
    # About the same number of bytes each time, and enough rounds for a p99.
    rounds = max(12, min(300, int(1e10 / (parameters * clients * 8))))
    with tempfile.TemporaryDirectory() as folder:
        run = idle_run_file(f"{folder}/idle.textproto", parameters, clients, rounds + WARM_UP)
        with Server(bin_dir, run, f"{folder}/run", "--log", f"{folder}/server.log") as server:
            anonymous = PeakAnonymous(server.process.pid)
            processes = idle_clients(bin_dir, server.address, clients, min(4, clients))
            code = server.wait()
            peak = anonymous.stop()
            for process in processes:
                process.wait()
            if code != 0:
                print(open(f"{folder}/server.log").read()[-2000:], file=sys.stderr)
                sys.exit(f"the coordinator failed: {code}")
            seconds = sorted(sum(r["seconds"].values()) for r in server.rounds()[WARM_UP:])
            usage = server.usage
            metrics = float(subprocess.check_output(
                [f"{bin_dir}/metrics_bench", f"{folder}/run/metrics.jsonl", f"{folder}/metrics"]))
    return {
        "rounds": len(seconds),
        "p50": seconds[len(seconds) // 2],
        "p99": seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))],
        "cpu": (usage.ru_utime + usage.ru_stime) / (rounds + WARM_UP),
        "rss": usage.ru_maxrss / 1024,
        "anonymous": peak / 1024 / 1024,
        "metrics": metrics / seconds[len(seconds) // 2],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("pairs", nargs="*", default=DEFAULT)
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}")
    print("| parameters | clients | rounds | p50 s | p99 s | coordinator CPU s a round | peak RSS MiB | anonymous | metrics |")
    print("|---|---|---|---|---|---|---|---|---|")
    for pair in args.pairs:
        parameters, clients = (int(float(x)) for x in pair.split(":"))
        m = measure(args.bin, parameters, clients)
        print(f"| {parameters:,} | {clients} | {m['rounds']} | {m['p50']:.4f} | {m['p99']:.4f} | "
              f"{m['cpu']:.4f} | {m['rss']:.0f} | {m['anonymous']:.0f} | "
              f"{100 * m['metrics']:.2f} % |", flush=True)


if __name__ == "__main__":
    main()
