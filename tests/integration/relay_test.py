#!/usr/bin/python3
"""The network that benchmarks run over: it delays, and changes no byte.

usage: relay_test.py BIN_DIR
"""

import pathlib
import subprocess
import sys
import unittest

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
sys.path.insert(0, str(SUPPORT))
import network  # noqa: E402

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
DELAY = 0.02
PATIENCE = 60
# Both ends send noise at once and print what arrived, and the round trip.
TALK = """
import hashlib, random, socket, sys, threading, time
role, host, size = sys.argv[1], sys.argv[2], 4 << 20
sent = random.Random(role).randbytes(size)
if role == "server":
    listener = socket.create_server((host, 7000))
    print("listening", flush=True)
    sock, _ = listener.accept()
    sock.sendall(sock.recv(1))
else:
    sock = socket.create_connection((host, 7000))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begin = time.monotonic()
    sock.sendall(b"?")
    assert sock.recv(1) == b"?"
    print(time.monotonic() - begin)
writer = threading.Thread(target=sock.sendall, args=(sent,))
begin = time.monotonic()
writer.start()
got = b""
while len(got) < size:
    got += sock.recv(1 << 20)
writer.join()
seconds = time.monotonic() - begin
print(hashlib.sha256(sent).hexdigest(), hashlib.sha256(got).hexdigest(), seconds)
"""


class RelayTest(unittest.TestCase):
    def test_it_delays_limits_the_rate_and_changes_no_byte(self):
        rate = 200e6
        with network.Network(BIN, 2, DELAY, rate=rate, seconds=PATIENCE) as net:
            def talk(host, role):
                return subprocess.Popen(
                    [*net.inside(host), sys.executable, "-c", TALK, role, net.address(1)],
                    stdout=subprocess.PIPE, text=True)

            with talk(1, "server") as server:
                self.assertEqual(server.stdout.readline(), "listening\n")
                with talk(0, "client") as client:
                    trip, client_says = client.communicate(timeout=PATIENCE)[0].splitlines()
                server_says = server.communicate(timeout=PATIENCE)[0]
        self.assertGreaterEqual(float(trip), 2 * DELAY)
        sent, got, seconds = client_says.split()
        other_sent, other_got, _ = server_says.split()
        self.assertEqual((sent, got), (other_got, other_sent))
        self.assertNotEqual(sent, got)
        # All but the burst that a bucket may hold.
        self.assertGreater(float(seconds), 0.9 * 8 * (4 << 20) / rate)
        self.assertEqual(net.relay_counts["dropped"], 0)
        self.assertGreater(net.relay_counts["bytes"], 2 * (4 << 20))

    def test_it_ends_by_itself(self):
        with network.Network(BIN, 1, DELAY, seconds=0.1) as net:
            self.assertEqual(net.wait(PATIENCE), 0)


if __name__ == "__main__":
    reason = network.why_not()
    if reason:
        print(reason)
        sys.exit(77)
    unittest.main()
