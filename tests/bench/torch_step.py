#!/usr/bin/python3
"""A step of SGD on an MLP and on a CNN: Parley's against PyTorch's.

    tests/bench/torch_step.py [--bin build/release/bin] [--turns 7]

Both take a batch of 32 rows of 784 numbers from memory, at random, and take a
step of plain SGD on the cross-entropy of ten classes, in float32. The networks:
784-200-10 with ReLU; and 3x3 convolution to 16 channels, pool, 3x3 to 32, pool,
dense to 10, without padding, of 28x28 pixels. The two take turns; of each the
fastest turn counts, a turn being the median of many steps. Parley's step takes
one thread; PyTorch's is measured with one, and like ours in CPU time, and with
two, in wall time, for which the machine should have nothing else to do.

Run it with a Python that has PyTorch (pip install torch, or python3-torch).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    sys.exit("torch_step.py: this Python has no PyTorch, so there is nothing to compare with; "
             "pip install torch, or apt-get install python3-torch, and run it again")

ROWS, BATCH = 1024, 32
WARM_UP, STEPS = 20, 200


def mlp():
    return torch.nn.Sequential(torch.nn.Linear(784, 200), torch.nn.ReLU(), torch.nn.Linear(200, 10))


def cnn():
    return torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 28, 28)),
        torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(800, 10))


def torch_turn(make, threads):
    """Median milliseconds a step."""
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    rows, labels = torch.rand(ROWS, 784), torch.randint(0, 10, (ROWS,))
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    clock = time.process_time if threads == 1 else time.perf_counter
    times = []
    for _ in range(WARM_UP + STEPS):
        start = clock()
        batch = torch.randint(0, ROWS, (BATCH,))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(rows[batch]), labels[batch]).backward()
        optimizer.step()
        times.append(clock() - start)
    return 1e3 * statistics.median(times[WARM_UP:])


def parley_turn(program, benchmark):
    answer = subprocess.run([program, f"--benchmark_filter=^{benchmark}", "--benchmark_format=json"],
                            check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)["benchmarks"][0]["step_ms"]


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--bin", default="build/release/bin")
    flags.add_argument("--turns", type=int, default=7)
    args = flags.parse_args()
    program = pathlib.Path(args.bin) / "step_bench"
    if not program.exists():
        sys.exit(f"torch_step.py: {program} is not there; build it, or name its folder with --bin")
    print(f"PyTorch {torch.__version__}, batch {BATCH}, fastest of {args.turns} turns, ms a step")
    print(f"{'':18}{'Parley':>8}{'PyTorch, 1 thread':>20}{'ratio':>7}{'2 threads':>11}{'ratio':>7}")
    for name, benchmark, make in [("MLP 784-200-10", "MlpSgd/200/32/", mlp),
                                  ("CNN 16-32-10", "CnnSgd/", cnn)]:
        ours, one, two = [], [], []
        for _ in range(args.turns):
            ours.append(parley_turn(program, benchmark))
            one.append(torch_turn(make, 1))
            two.append(torch_turn(make, 2))
        p, a, b = min(ours), min(one), min(two)
        print(f"{name:18}{p:8.3f}{a:20.3f}{a / p:7.2f}{b:11.3f}{b / p:7.2f}", flush=True)


if __name__ == "__main__":
    main()
