# SPDX-License-Identifier: Apache-2.0
"""The traffic program: one process inside a host, told what to do by JSON lines on stdin, answering on stdout.

UDP: numbered packets at a steady rate; the receiver counts what is missing, doubled and late, and the longest silence.
TCP: long flows that exchange small messages all the time; the client sees resets and the longest stall of each.

    datagram: stream id (u32), sequence (u64), send time (u64, ns of CLOCK_MONOTONIC), what fills it up

Run by host.Talker; it ends when stdin closes.  Stands alone: imports nothing of the lab.
"""
import json
import selectors
import socket
import struct
import sys
import time

HEAD = struct.Struct("!IQQ")
TCP_INFO = 11
ms = 1_000_000


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class UdpSender:
    def __init__(self, spec):
        self.id, self.to = spec["id"], tuple(spec["to"])
        self.socket = socket.socket(family(self.to[0]), socket.SOCK_DGRAM)
        if spec.get("from"):
            self.socket.bind((spec["from"], 0))
        self.socket.setblocking(False)
        self.period = 1e9 / spec["rate"]
        length, fill = max(0, spec.get("size", 64) - HEAD.size), spec.get("fill", "\0").encode()
        self.pad = (fill * length)[:length]
        self.sent = self.errors = 0
        self.start = time.monotonic_ns()

    def tick(self, now):
        due = int((now - self.start) / self.period) + 1
        while self.sent < due:
            try:
                self.socket.sendto(HEAD.pack(self.id, self.sent, now) + self.pad, self.to)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier packet; this number was not sent, the next try has it again
                self.errors += 1
                if self.errors > 100000:
                    raise
                continue
            self.sent += 1


class Stream:
    """What a receiver knows of one sender."""

    def __init__(self):
        self.seen = bytearray()
        self.received = self.duplicates = self.late = 0
        self.highest = -1
        self.last = self.gap = self.delay = 0

    def take(self, sequence, sent, now):
        if sequence >= len(self.seen):
            self.seen.extend(bytes(sequence + 4096 - len(self.seen)))
        if self.seen[sequence]:
            self.duplicates += 1
            return
        self.seen[sequence] = 1
        self.received += 1
        self.late += sequence < self.highest
        self.highest = max(self.highest, sequence)
        if self.last:
            self.gap = max(self.gap, now - self.last)
        self.last = now
        self.delay = max(self.delay, now - sent)

    def report(self, sent=None):
        missing = [
            i for i in range(sent if sent is not None else self.highest + 1) if i >= len(self.seen) or not self.seen[i]
        ]
        return {
            "received": self.received,
            "duplicates": self.duplicates,
            "late": self.late,
            "highest": self.highest,
            "lost": len(missing),
            "missing": missing[:20],
            "longest_gap_ms": self.gap / ms,
            "longest_delay_ms": self.delay / ms,
        }


class Flow:
    """One long TCP flow seen from its client: send a number, wait for its echo, wait for the next turn."""

    def __init__(self, to, interval_ns, size):
        self.socket = socket.socket(family(to[0]), socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.error = None
        self.interval, self.size = interval_ns, size
        self.waiting = size  # bytes of the echo still to come
        self.messages = self.stall = 0
        self.asked = time.monotonic_ns()
        self.connected = False
        code = self.socket.connect_ex(tuple(to))
        if code not in (0, 115):
            self.error = code

    def on_event(self, now):
        try:
            if not self.connected:
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, "connect")
                self.connected = True
                self.send(now)
                return
            data = self.socket.recv(65536)
            if not data:
                raise OSError(104, "closed by the other side")
            self.waiting -= len(data)
            if self.waiting <= 0:
                self.stall = max(self.stall, now - self.asked)
                self.messages += 1
        except BlockingIOError:
            pass
        except OSError as e:
            self.error = e.errno or -1

    def send(self, now):
        self.waiting = self.size
        self.asked = now
        try:
            self.socket.send(b"x" * self.size)
        except OSError as e:
            self.error = e.errno or -1

    def tick(self, now):
        if self.connected and self.error is None and self.waiting <= 0 and now - self.asked >= self.interval:
            self.send(now)

    def report(self, now):
        open_stall = now - self.asked if self.waiting > 0 else 0
        info = self.socket.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104) if self.error is None else bytes(104)
        return {
            "error": self.error,
            "messages": self.messages,
            "stall_ms": max(self.stall, open_stall) / ms,
            "retransmits": struct.unpack_from("I", info, 100)[0],
        }


class Talker:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.senders, self.streams, self.flows, self.due, self.pending = {}, {}, {}, {}, []
        self.input = b""
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.on_command)
        self.running = True

    # ---- events

    def on_command(self, _):
        chunk = sys.stdin.buffer.raw.read(65536)
        if not chunk:
            self.running = False
        self.input += chunk or b""
        while b"\n" in self.input:
            line, self.input = self.input.split(b"\n", 1)
            spec = json.loads(line)
            try:
                answer = getattr(self, "do_" + spec.pop("do"))(**spec)
            except OSError as e:
                answer = {"failed": str(e)}
            if answer is not None:
                self.answer(answer)

    def answer(self, value):
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    def on_datagrams(self, s):
        for _ in range(256):
            try:
                data = s.recv(65536)
            except OSError:
                return
            if len(data) >= HEAD.size:
                stream, sequence, sent = HEAD.unpack_from(data)
                self.streams.setdefault(stream, Stream()).take(sequence, sent, time.monotonic_ns())

    def on_accept(self, s):
        try:
            while True:
                c, _ = s.accept()
                c.setblocking(False)
                c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.selector.register(c, selectors.EVENT_READ, self.on_echo)
        except BlockingIOError:
            pass

    def on_echo(self, c):
        try:
            data = c.recv(65536)
            if data:
                c.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.selector.unregister(c)
        c.close()

    # ---- commands

    def do_udp_listen(self, address, port):
        s = socket.socket(family(address), socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        s.bind((address, port))
        s.setblocking(False)
        self.selector.register(s, selectors.EVENT_READ, self.on_datagrams)
        return {}

    def do_udp_send(self, **spec):
        self.senders[spec["id"]] = UdpSender(spec)
        return {}

    def do_udp_stop(self, id):
        s = self.senders.pop(id)
        s.socket.close()
        return {"sent": s.sent, "errors": s.errors}

    def do_udp_sent(self, id):
        return {"sent": self.senders[id].sent}

    def do_udp_report(self, id, sent=None):
        return self.streams.get(id, Stream()).report(sent)

    def do_tcp_listen(self, address, port):
        s = socket.socket(family(address), socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(1024)
        s.setblocking(False)
        self.selector.register(s, selectors.EVENT_READ, self.on_accept)
        return {}

    def do_tcp_flows(self, id, to, count, interval_ms=50, size=200):
        self.flows[id] = [Flow(to, interval_ms * ms, size) for _ in range(count)]
        self.due[id] = [0, max(ms, interval_ms * ms // 50)]  # a thousand flows are not looked at a thousand times a second
        for f in self.flows[id]:
            self.watch(f)
        return {}

    def watch(self, f):
        def on_event(_):
            was = f.connected
            f.on_event(time.monotonic_ns())
            if f.error is not None:
                self.selector.unregister(f.socket)
            elif f.connected and not was:
                self.selector.modify(f.socket, selectors.EVENT_READ, on_event)

        if f.error is None:
            self.selector.register(f.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, on_event)

    def do_tcp_report(self, id):
        now = time.monotonic_ns()
        rows = [f.report(now) for f in self.flows[id]]
        return {
            "flows": len(rows),
            "alive": sum(r["error"] is None for r in rows),
            "errors": sorted({r["error"] for r in rows if r["error"] is not None}),
            "messages": sum(r["messages"] for r in rows),
            "least_messages": min(r["messages"] for r in rows),
            "longest_stall_ms": max(r["stall_ms"] for r in rows),
            "retransmits": sum(r["retransmits"] for r in rows),
        }

    def do_tcp_close(self, id):
        for f in self.flows.pop(id):
            try:
                self.selector.unregister(f.socket)
            except KeyError:
                pass
            f.socket.close()
        return {}

    # ---- loop

    def run(self):
        self.answer({"ready": True})
        while self.running:
            busy = self.senders or self.flows
            for key, _ in self.selector.select(0.001 if busy else None):
                there = self.selector.get_map().get(key.fd)
                if there and there.fileobj is key.fileobj:  # else an event before it has closed it
                    there.data(key.fileobj)
            now = time.monotonic_ns()
            for s in self.senders.values():
                s.tick(now)
            for id, flows in self.flows.items():
                if now < self.due[id][0]:
                    continue
                self.due[id][0] = now + self.due[id][1]
                for f in flows:
                    f.tick(now)


if __name__ == "__main__":
    Talker().run()
