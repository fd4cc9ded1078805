# SPDX-License-Identifier: Apache-2.0
"""A BGP session by hand: whatever bytes a test wants on a real TCP connection, and what the other side says to them.

A Hand is one neighbor.  It opens the connection, agrees on capabilities and keeps the session alive; what goes into an
UPDATE is the caller's, who may write nonsense.  One thread serves all hands of the process.
"""
import selectors
import socket
import struct
import threading
import time

from lab import packet
from lab.run import LabError, wait_until

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, REFRESH = 1, 2, 3, 4, 5
MARKER = b"\xff" * 16
IPV4, IPV6, EVPN = (1, 1), (2, 1), (25, 70)
TCP_MD5SIG = 14


def message(kind, body=b""):
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def update(withdrawn=b"", attributes=b"", nlri=b""):
    """The body of an UPDATE."""
    return struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attributes)) + attributes + nlri


def attribute(flags, kind, value):
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack("!BBB", flags, kind, len(value)) + value


def as_path(*ases):
    return attribute(0x40, 2, struct.pack("!BB", 2, len(ases)) + b"".join(struct.pack("!I", a) for a in ases) if ases else b"")


def local_pref(n=100):
    return attribute(0x40, 5, struct.pack("!I", n))


ORIGIN = attribute(0x40, 1, b"\0")


def route_target(asn, number):
    return struct.pack("!BBHI", 0, 2, asn, number)


def mobility(sequence):
    return struct.pack("!BBBBI", 6, 0, 0, 0, sequence)


VXLAN = bytes.fromhex("030c000000000008")  # encapsulation community (RFC 9012 4.1)


def communities(*values):
    return attribute(0xC0, 16, b"".join(values))


def rd(address, number):
    return struct.pack("!H", 1) + packet.ip(address) + struct.pack("!H", number)


def evpn(kind, value):
    return struct.pack("!BB", kind, len(value)) + value


def mac_route(distinguisher, mac, vni, address=None):
    """Type 2 without a segment (RFC 7432 7.2); mac and address as bytes."""
    a = address or b""
    value = distinguisher + bytes(14) + b"\x30" + mac + bytes([8 * len(a)]) + a + vni.to_bytes(3, "big")
    return evpn(2, value)


def imet_route(distinguisher, address):
    return evpn(3, distinguisher + bytes(4) + bytes([8 * len(packet.ip(address))]) + packet.ip(address))


def reach(family, next_hop, nlri):
    a = packet.ip(next_hop)
    return attribute(0x80, 14, struct.pack("!HBB", *family, len(a)) + a + b"\0" + nlri)


def unreach(family, nlri=b""):
    return attribute(0x80, 15, struct.pack("!HB", *family) + nlri)


def end_of_rib(family):
    return update() if family == IPV4 else update(attributes=unreach(family))


def capabilities(asn, families, restart_s=None, refresh=True):
    """As one optional parameter (RFC 5492)."""
    parts = [struct.pack("!BBHBB", 1, 4, afi, 0, safi) for afi, safi in families]
    parts.append(struct.pack("!BBI", 65, 4, asn))
    if refresh:
        parts.append(b"\2\0")
    if restart_s is not None:
        kept = b"".join(struct.pack("!HBB", *f, 0x80) for f in families)
        parts.append(struct.pack("!BBH", 64, 2 + len(kept), restart_s) + kept)
    body = b"".join(parts)
    return struct.pack("!BB", 2, len(body)) + body


class _Server(threading.Thread):
    """Reads for all hands, and sends their KEEPALIVEs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector, self.hands = selectors.DefaultSelector(), set()
        self.lock = threading.Lock()
        self.start()

    def add(self, hand):
        with self.lock:
            self.hands.add(hand)
            self.selector.register(hand.socket, selectors.EVENT_READ, hand)

    def remove(self, hand):
        with self.lock:
            if hand in self.hands:
                self.hands.remove(hand)
                self.selector.unregister(hand.socket)

    def run(self):
        while True:
            for key, _ in self.selector.select(0.1):
                key.data.on_readable()
            now = time.monotonic()
            with self.lock:
                due = [h for h in self.hands if h.keepalive_s and now >= h.next_keepalive]
            for h in due:
                h.next_keepalive = now + h.keepalive_s
                h.send(message(KEEPALIVE), check=False)


_server = None


class Hand:
    """hold_s: what its OPEN proposes; alive=False: it sends no KEEPALIVE but the first, reads=False: it reads nothing
    after the OPEN.  messages: all that came, (time, kind, body)."""

    def __init__(self, ns, local, remote, asn, router_id, families=(EVPN,), hold_s=90, **options):
        self.ns, self.local, self.remote, self.asn, self.router_id = ns, local, remote, asn, router_id
        self.families, self.hold_s = families, hold_s
        self.alive, self.reads = options.pop("alive", True), options.pop("reads", True)
        self.restart_s, self.receive_buffer = options.pop("restart_s", None), options.pop("receive_buffer", None)
        self.port = options.pop("port", 179)
        assert not options, options
        self.socket, self.messages, self.closed_at = None, [], None
        self.keepalive_s, self.next_keepalive = 0, 0
        self._sending = threading.Lock()

    # ---- the connection

    def dial(self, timeout=5):
        """TCP alone."""
        family = socket.AF_INET6 if packet.is_v6(self.remote) else socket.AF_INET
        s = self.ns.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        s.bind((self.local, 0))
        s.settimeout(timeout)
        try:
            s.connect((self.remote, self.port))
        except OSError:
            s.close()
            raise
        self.socket, self.closed_at, self.messages, self._input = s, None, [], b""
        return self

    def open(self):
        """The OPEN of this side."""
        options = capabilities(self.asn, self.families, self.restart_s)
        body = struct.pack("!BHH", 4, self.asn if self.asn < 65536 else 23456, self.hold_s) + packet.ip(self.router_id)
        self.send(message(OPEN, body + bytes([len(options)]) + options))
        return self

    def connect(self, timeout=5):
        """Up to Established: OPEN and KEEPALIVE have come and gone."""
        global _server
        self.dial(timeout).open()
        end = time.monotonic() + timeout
        while not {OPEN, KEEPALIVE} <= {kind for _, kind, _ in self.messages}:
            if self.closed_at or time.monotonic() >= end:
                raise LabError(f"{self.local}: no session: {self.notification() or 'no answer'}")
            self._read_once(end)
            if any(k == OPEN for _, k, _ in self.messages) and not getattr(self, "_agreed", None) == self.socket:
                self._agreed = self.socket
                self.send(message(KEEPALIVE))
        if self.alive and self.hold_s:
            self.keepalive_s = self.hold_s / 3
            self.next_keepalive = time.monotonic() + self.keepalive_s
        if self.reads:
            self.socket.settimeout(0.0)
            _server = _server or _Server()
            _server.add(self)
        return self

    def connect_patiently(self, timeout=30):
        """Again and again: the other side may leave a neighbor alone that was gone."""

        def up():
            try:
                return self.connect(2)
            except (OSError, LabError):
                self.close()
                return None

        return wait_until(up, timeout, f"a session from {self.local}", every=0.1)

    def send(self, data, check=True):
        view = memoryview(data)
        try:
            with self._sending:
                while view:
                    view = view[self._send_some(view) :]
        except OSError:
            if check:
                raise
        return self

    def _send_some(self, view):
        try:
            if not self.socket:
                raise OSError("closed")
            return self.socket.send(view)
        except BlockingIOError:
            with selectors.DefaultSelector() as s:
                s.register(self.socket, selectors.EVENT_WRITE)
                if not s.select(10):
                    raise OSError("the other side does not read") from None
            return 0

    def update(self, body):
        return self.send(message(UPDATE, body))

    def close(self, reset=False):
        """FIN, or RST."""
        if self.socket:
            if _server:
                _server.remove(self)
            self.keepalive_s = 0
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
            self.socket = None

    # ---- what came

    def _take(self, data):
        self._input += data
        while len(self._input) >= 19:
            size, kind = struct.unpack_from("!HB", self._input, 16)
            if len(self._input) < size:
                break
            self.messages.append((time.monotonic(), kind, self._input[19:size]))
            self._input = self._input[size:]

    def _end(self):
        self.closed_at = time.monotonic()
        self.keepalive_s = 0

    def _read_once(self, end):
        self.socket.settimeout(max(0.01, end - time.monotonic()))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._end()

    def on_readable(self):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except (OSError, AttributeError):
            data = b""
        if data:
            self._take(data)
        else:
            _server.remove(self)
            self._end()

    def count(self, kind):
        return sum(k == kind for _, k, _ in list(self.messages))

    def notification(self):
        """(code, subcode, data) of the last NOTIFICATION, or None."""
        found = [body for _, kind, body in list(self.messages) if kind == NOTIFICATION]
        return (found[-1][0], found[-1][1], found[-1][2:]) if found else None

    def wait_notification(self, timeout=5):
        return wait_until(self.notification, timeout, f"a NOTIFICATION to {self.local}")


def grouped(routes, size=3500):
    """Lists of routes that fit into a message each."""
    block, length = [], 0
    for r in routes:
        if length + len(r) > size:
            yield block
            block, length = [], 0
        block.append(r)
        length += len(r)
    if block:
        yield block


def messages_in(frames):
    """(time, kind, body) of the messages in frames of one direction of a TCP connection to or from port 179, in order;
    a connection after it begins anew."""
    port, expected, data, found = None, 0, b"", []
    for f in frames:
        p = packet.l3(f.data)
        if not p or p[3] != 6:
            continue
        source, target, sequence = struct.unpack_from("!HHI", p[4])
        offset, flags = (p[4][12] >> 4) * 4, p[4][13]
        if 179 not in (source, target):
            continue
        if (source, target) != port or flags & 2:
            port, data, expected = (source, target), b"", sequence + (flags >> 1 & 1)
        payload = p[4][offset:]
        if not payload or sequence != expected:  # sent before
            continue
        expected, data = (expected + len(payload)) % 2**32, data + payload
        while len(data) >= 19 and len(data) >= struct.unpack_from("!H", data, 16)[0]:
            size, kind = struct.unpack_from("!HB", data, 16)
            found.append((f.time, kind, data[19:size]))
            data = data[size:]
    return found
