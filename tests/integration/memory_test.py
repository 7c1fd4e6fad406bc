#!/usr/bin/python3
"""The coordinator's memory does not grow with the number of clients.

Sixteen clients upload 100 MB each at the same time. The anonymous resident
memory must stay within 3 x the float32 model + the staging budget + 128 KiB a
client + 4 MiB a permit + 64 MiB.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import PeakAnonymous, Server, idle_clients, idle_run_file  # noqa: E402

MIB = 1 << 20
PARAMETERS = 25_000_000
CLIENTS = 16
PERMITS = 16
STAGING = 64 * MIB
LIMIT = 3 * 4 * PARAMETERS + STAGING + CLIENTS * (128 << 10) + PERMITS * 4 * MIB + 64 * MIB


def main(bin_dir):
    with tempfile.TemporaryDirectory(dir=".") as folder:
        run = idle_run_file(f"{folder}/idle.textproto", PARAMETERS, CLIENTS, 2,
                            f"limits {{ transfers: {PERMITS} staging_bytes: {STAGING} }}")
        with Server(bin_dir, run, f"{folder}/run", "--log", f"{folder}/server.log") as server:
            watch = PeakAnonymous(server.process.pid)
            clients = idle_clients(bin_dir, server.address, CLIENTS, 2)
            code = server.wait()
            peak = watch.stop()
            for client in clients:
                client.wait()
            counted = [len(r["counted"]) for r in server.rounds()]
    print(f"peak of anonymous memory {peak / MIB:.0f} MiB, allowed {LIMIT / MIB:.0f} MiB; counted {counted}")
    # Above the model and the sum, or it was not measured.
    measured = peak > 3 * 4 * PARAMETERS
    return 0 if code == 0 and counted == [CLIENTS] * 2 and measured and peak <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
