#!/usr/bin/python3
"""Plain TCP along a ring: each host sends so many bytes to the next one while it
receives as many from the one before, all at once. The yardstick of the gossip
benchmarks: what the path itself gives to as many processes.

usage: plain_ring.py INDEX HOST:PORT,HOST:PORT,... BYTES REPETITIONS

The first host prints the round trip in seconds, to the next one; then each
prints a line for each repetition with the seconds that it took. All on one
machine: they begin by its clock, which the first one sets.
"""

import socket
import struct
import sys
import threading
import time

PATIENCE = 60


def connect(address):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(address, PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def read(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("the other end hung up")
        data += more
    return data


def receive(sock, size):
    buffer = memoryview(bytearray(1 << 20))
    while size > 0:
        got = sock.recv_into(buffer[:min(size, len(buffer))])
        if got == 0:
            raise ConnectionError("the other end hung up")
        size -= got


def round_trip(index, to_next, from_previous):
    """Of a byte between the first two, the median of some."""
    if index == 0:
        times = []
        for _ in range(15):
            begin = time.monotonic()
            to_next.sendall(b"?")
            read(to_next, 1)
            times.append(time.monotonic() - begin)
        print(sorted(times)[len(times) // 2])
    elif index == 1:
        for _ in range(15):
            from_previous.sendall(read(from_previous, 1))


def common_begin(index, hosts, to_next, from_previous, trip):
    """A time that all know, and to which all have got."""
    if index == 0:
        to_next.sendall(struct.pack("d", 0))
        read(from_previous, 8)  # all are here
        begin = time.monotonic() + hosts * trip + 0.05
        to_next.sendall(struct.pack("d", begin))
        read(from_previous, 8)
    else:
        to_next.sendall(read(from_previous, 8))
        begin_bytes = read(from_previous, 8)
        to_next.sendall(begin_bytes)
        begin = struct.unpack("d", begin_bytes)[0]
    time.sleep(max(0, begin - time.monotonic()))
    return begin


def main(index, addresses, size, repetitions):
    listener = socket.create_server(addresses[index])
    to_next = connect(addresses[(index + 1) % len(addresses)])
    from_previous, _ = listener.accept()
    for sock in (to_next, from_previous):
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begin = time.monotonic()
    round_trip(index, to_next, from_previous)
    trip = (time.monotonic() - begin) / 15
    data = memoryview(bytearray(size))
    for _ in range(repetitions):
        begin = common_begin(index, len(addresses), to_next, from_previous, trip)
        writer = threading.Thread(target=to_next.sendall, args=(data,))
        writer.start()
        receive(from_previous, size)
        writer.join()
        print(time.monotonic() - begin)


if __name__ == "__main__":
    main(int(sys.argv[1]),
         [(host, int(port)) for host, _, port in
          (text.rpartition(":") for text in sys.argv[2].split(","))],
         int(sys.argv[3]), int(sys.argv[4]))
