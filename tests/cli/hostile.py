#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that means no good: hostile.py SOCKET KIND [N].

Says "there" when it is at full strength, goes on until its standard input ends, then prints what it met as JSON:
{"connections": tried, "statuses": {"403": n, ...}, "refused": connects that failed, "bytes": sent}.
"""
import collections
import errno
import json
import os
import random
import resource
import select
import socket
import sys
import time

HEAD = b"POST /v1/apply HTTP/1.1\r\nHost: x\r\n"
PIECE = b"#" * 65536


def half_headers(n):
    """A line that is begun and goes on letter by letter, for ever."""
    yield b"GET /v1/status HTTP/1.1\r\nX-Long: "
    while True:
        yield b"a"


def half_line(n):
    yield b"GE"
    while True:
        yield b"T"


def half_body(n):
    yield HEAD + b"Content-Length: 1000\r\n\r\n"
    while True:
        yield b"#"


def idle(n):
    yield b""
    while True:
        yield b""


def rest(n):
    """One good request, then silence."""
    yield b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
    while True:
        yield b""


def length(n):
    """A gigabyte, as announced."""
    yield HEAD + b"Content-Length: 1073741824\r\n\r\n"
    for _ in range(16384):
        yield PIECE


def chunks(n):
    """A gigabyte in pieces that nobody announced."""
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for _ in range(16384):
        yield b"10000\r\n" + PIECE + b"\r\n"
    yield b"0\r\n\r\n"


def get_body(n):
    """Eight megabytes with a request that has no use for them, and then nothing."""
    yield (b"GET", b"HEAD")[n % 2] + b" /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n"
    for _ in range(127):
        yield PIECE
    while True:
        yield b""


def big_body(n):
    """What a large configuration would be, but for its last byte."""
    yield HEAD + b"Content-Length: 8388608\r\n\r\n"
    for _ in range(127):
        yield PIECE
    yield PIECE[1:]
    while True:
        yield b""


def pipeline(n):
    while True:
        yield b"GET /v1/doctor HTTP/1.1\r\nHost: x\r\n\r\n" * 10


def apply(n):
    while True:
        yield HEAD + b"Content-Length: 11\r\n\r\nversion: 1\n"


def garbage(n):
    r = random.Random(n)
    starts = [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 100,
              b"GET " + b"/a" * 40000 + b" HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
              b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/apply HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
              b"POST /v1/apply HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
              b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
              b"POST /v1/apply HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"\r\n" * 5000]
    yield starts[n % len(starts)]
    yield r.randbytes(2000)
    yield b"\r\n\r\n"
    while True:
        yield b""


KINDS = {  # by turns
    "drip": [half_headers, half_line, half_body],
    "unused": [idle, rest],
    "gigabyte": [length, chunks],
    "big_body": [big_body],
    "get_body": [get_body],
    "pipeline": [pipeline],
    "apply": [apply],
    "garbage": [garbage],
}
SLOW = {"drip", "unused", "garbage"}  # a piece a second; the others as fast as it goes


class Client:
    def __init__(self, path, kind, n):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.pieces = KINDS[kind][n % len(KINDS[kind])](n)
        self.left = b""
        self.due = 0
        self.heard = b""
        self.deaf = kind == "pipeline" and n % 4 == 0  # asks, and never reads
        self.socket.connect(path)


def main():
    path, kind, n = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    clients, statuses = {}, collections.Counter()
    met = {"connections": 0, "refused": 0, "bytes": 0, "statuses": statuses}
    said = False
    end = time.monotonic() + 60
    os.set_blocking(0, False)

    def leave(c):
        if c.heard.startswith(b"HTTP/1.1 "):
            for answer in c.heard.split(b"HTTP/1.1 ")[1:]:
                statuses[answer[:3].decode(errors="replace")] += 1
        del clients[c.socket.fileno()]
        c.socket.close()

    def hear(c):
        try:
            data = c.socket.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        c.heard += data[:12] if kind not in ("pipeline", "apply", "unused") else b"".join(
            b"HTTP/1.1 " + part[:3] for part in data.split(b"HTTP/1.1 ")[1:])
        return bool(data)

    while time.monotonic() < end:
        try:
            if os.read(0, 1) == b"":
                break
        except BlockingIOError:
            pass
        for _ in range(min(100, n - len(clients))):
            met["connections"] += 1
            try:
                c = Client(path, kind, met["connections"])
                clients[c.socket.fileno()] = c
            except OSError as e:
                met["refused"] += 1
                if e.errno not in (errno.EAGAIN, errno.ECONNREFUSED, errno.EACCES, errno.ECONNRESET):
                    raise
                break
        if not said and (len(clients) >= n or met["connections"] >= n or met["refused"] > 20):
            said = True
            print("there", flush=True)
        now = time.monotonic()
        poll = select.poll()
        for fd, c in clients.items():
            wants = bool(c.left) or c.due <= now
            poll.register(fd, (0 if c.deaf else select.POLLIN) | (select.POLLOUT if wants else 0))
        for fd, events in poll.poll(50):
            c = clients[fd]
            if events & select.POLLOUT:
                try:
                    if not c.left:
                        c.left = next(c.pieces, b"")
                        c.due = 0 if kind not in SLOW and c.left else now + 1
                    sent = c.socket.send(c.left[:1 << 17])
                    met["bytes"] += sent
                    c.left = c.left[sent:]
                except BlockingIOError:
                    pass
                except OSError:
                    while hear(c) and len(c.heard) < 65536:
                        pass
                    leave(c)
                    continue
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not hear(c):
                leave(c)
    for c in list(clients.values()):
        leave(c)
    print(json.dumps(met), flush=True)


if __name__ == "__main__":
    main()
