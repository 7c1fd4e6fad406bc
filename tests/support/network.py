"""A network of hosts on one machine, each a network namespace (needs root).

What is modelled: every host has one link to a switch that never blocks. It
sends at most `rate` bits a second (tc tbf, with what waits queued and not lost),
and each packet arrives `delay` seconds later (packet-relay, over a TUN device in
each namespace). TCP runs from end to end over it, so that its windows and its
slow start see the delay; sockets may buffer twice the bandwidth times the round
trip. Not modelled: loss, jitter, the speed of the receiver's link (a peer
receives from one neighbour at a time), and the 16 machines' processors: all
hosts share this machine's.
"""

import json
import os
import pathlib
import shutil
import subprocess

DEVICE = "cable"
NAMES = pathlib.Path("/etc/netns")
# One large segment of the kernel and a little: what may be sent at once.
BURST = 70000


def why_not():
    """Why there can be no such network here, or an empty string."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"there is no program {program}"
    space = f"parley-{os.getpid()}-probe"
    try:
        _run("ip", "netns", "add", space)
        try:
            _add_device(space, "10.77.0.1", 1e9)
        finally:
            _run("ip", "netns", "del", space)
    except RuntimeError as error:
        return f"there can be no network here: {error}"
    return ""


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


def _add_device(space, address, rate):
    _run("ip", "-n", space, "link", "set", "lo", "up")
    _run("ip", "-n", space, "tuntap", "add", "dev", DEVICE, "mode", "tun", "vnet_hdr")
    _run("ip", "-n", space, "addr", "add", f"{address}/16", "dev", DEVICE)
    _run("ip", "-n", space, "link", "set", DEVICE, "up")
    if rate:
        _run("tc", "-n", space, "qdisc", "add", "dev", DEVICE, "root", "tbf", "rate",
             f"{int(rate)}bit", "burst", str(BURST), "limit", str(64 << 20))


class Network:
    """Use it in a with statement. `seconds` bounds the life of the relay. Programs
    inside find the hosts by `names`, too."""

    def __init__(self, bin_dir, hosts, delay, rate=None, seconds=170, names=()):
        self.round_trip_bytes = int((rate or 1e9) / 8 * 2 * delay)
        self.relay_counts = None
        self._relay = None
        self._rate = rate
        self._spaces = [f"parley-{os.getpid()}-{i}" for i in range(hosts)]
        self._addresses = [f"10.77.{i // 250}.{i % 250 + 1}" for i in range(hosts)]
        self._names = "".join(f"{address}\t{name}\n"
                              for address, name in zip(self._addresses, names))
        # First, or it would be the hosts that delay.
        self._command = ["nice", "-n", "-20", f"{bin_dir}/packet-relay", "--delay", str(delay),
                         "--seconds", str(seconds), "--device", DEVICE]
        for space, address in zip(self._spaces, self._addresses):
            self._command += ["--host", f"{space}={address}"]

    def __enter__(self):
        try:
            for space, address in zip(self._spaces, self._addresses):
                self._add(space, address)
            self._relay = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
            if self._relay.stdout.readline() != "ready\n":
                raise RuntimeError(f"packet-relay did not start: {self._relay.wait()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _add(self, space, address):
        _run("ip", "netns", "add", space)
        _add_device(space, address, self._rate)
        for name, first in (("rmem", 131072), ("wmem", 65536)):
            most = max(4 << 20, 2 * self.round_trip_bytes)
            _run("ip", "netns", "exec", space, "sh", "-c",
                 f"echo 4096 {first} {most} > /proc/sys/net/ipv4/tcp_{name}")
        if self._names:  # `ip netns exec` puts it in the place of /etc/hosts
            folder = NAMES / space
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(self._names)

    def __exit__(self, *_):
        if self._relay is not None:
            self._relay.terminate()
            out, _ = self._relay.communicate()
            if self._relay.returncode == 0:
                self.relay_counts = json.loads(out)
            self._relay = None
        for space in self._spaces:
            subprocess.run(["ip", "netns", "del", space], stderr=subprocess.DEVNULL, check=False)
            shutil.rmtree(NAMES / space, ignore_errors=True)

    def wait(self, timeout):
        """Until the relay ends by itself; its exit code."""
        return self._relay.wait(timeout)

    def address(self, host):
        return self._addresses[host]

    def inside(self, host):
        """What a command line begins with to run there."""
        return ["ip", "netns", "exec", self._spaces[host]]
