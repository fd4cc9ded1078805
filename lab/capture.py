# SPDX-License-Identifier: Apache-2.0
"""Taps: what crossed a link, on any number of links at once.

One thread reads every AF_PACKET socket of a Tap and keeps the frames that its filter lets through.  `incoming` says
what a frame is to the link that is tapped: received (True) or sent (False).  A frame that the kernel delivered to our
socket is never lost silently: Tap.lost counts what the socket buffers could not hold, and tests look at it.
"""
import collections
import errno
import os
import selectors
import socket
import struct
import threading
import time

from lab.run import LabError, wait_until

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33

Frame = collections.namedtuple("Frame", "place time incoming data")


class Tap:
    """with Tap({"web1": (ns, "eth0"), ...}) as tap: ...  Places are names of the caller's choice."""

    def __init__(self, links, keep=None, incoming_only=False, limit=200000, size=65536):
        self.frames, self.total, self._limit = [], 0, limit
        self._keep, self._size = keep, size
        self._links, self._incoming_only = links, incoming_only
        self._sockets, self._selector, self._lost = {}, selectors.DefaultSelector(), 0
        self._wake_r, self._wake_w = os.pipe()
        self._thread = None
        self._lock = threading.Lock()

    def __enter__(self):
        self._selector.register(self._wake_r, selectors.EVENT_READ, None)
        for place, (ns, name) in self._links.items():
            s = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            if self._incoming_only:
                s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            with ns:
                s.bind((name, ETH_P_ALL))
            s.setblocking(False)
            self._sockets[place] = s
            self._selector.register(s, selectors.EVENT_READ, place)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        os.write(self._wake_w, b"x")
        self._thread.join()
        self._selector.close()
        self._count_lost()
        for s in self._sockets.values():
            s.close()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def _read(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                for _ in range(256):
                    try:
                        data, address = key.fileobj.recvfrom(self._size)
                    except BlockingIOError:
                        break
                    except OSError:  # the link went away
                        self._selector.unregister(key.fileobj)
                        break
                    self._take(Frame(key.data, time.monotonic(), address[2] != PACKET_OUTGOING, data))

    def _take(self, f):
        if self._keep is None or self._keep(f):
            with self._lock:
                self.total += 1
                if len(self.frames) < self._limit:
                    self.frames.append(f)

    def _count_lost(self):
        for s in self._sockets.values():
            _, drops = struct.unpack("II", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self._lost += drops

    @property
    def lost(self):
        if self._thread.is_alive():
            self._count_lost()
        return self._lost

    def clear(self):
        with self._lock:
            self.frames, self.total = [], 0

    def snapshot(self):
        with self._lock:
            return list(self.frames)

    def matching(self, test, place=None):
        return [f for f in self.snapshot() if (place is None or f.place == place) and test(f.data)]

    def wait(self, test, count=1, timeout=3.0, place=None, what="a frame"):
        """Wait for `count` frames that match, and return them."""
        try:
            return wait_until(lambda: (m := self.matching(test, place)) and len(m) >= count and m, timeout, what)
        except LabError as e:
            raise LabError(
                f"{e}; {len(self.matching(test, place))} of {count} matched, {self.total} frames seen"
            ) from None

    def settle(self, quiet=0.1, timeout=5.0):
        """Wait until nothing has arrived for `quiet` seconds: everything under way has landed."""
        state = [self.total, time.monotonic()]

        def still():
            if self.total != state[0]:
                state[:] = [self.total, time.monotonic()]
            return time.monotonic() - state[1] >= quiet

        wait_until(still, timeout, f"{quiet:g} s without a frame")

    def write_pcap(self, path):
        """For tshark and friends."""
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            for f in self.snapshot():
                out.write(struct.pack("<IIII", int(f.time), int(f.time % 1 * 1e6), len(f.data), len(f.data)) + f.data)


class RawPort:
    """Sends frames out of a link, as whoever lives in that namespace could."""

    def __init__(self, ns, name):
        self.socket = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with ns:
            self.socket.bind((name, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)  # SO_SNDBUFFORCE
        self.socket.settimeout(5)

    def send(self, *frames):
        for f in frames:
            try:
                self.socket.send(f)
            except OSError as e:
                if e.errno != errno.ENOBUFS:  # that says: dropped on the way out, by somebody's filter
                    raise

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
