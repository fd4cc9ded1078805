# SPDX-License-Identifier: Apache-2.0
"""A workload: a namespace with one interface, eth0, plugged into a port; and what it can do."""
import itertools
import json
import os
import re
import socket
import threading

from lab import packet
from lab.capture import RawPort, Tap
from lab.run import LabError, wait_until

_here = os.path.dirname(os.path.abspath(__file__))
_stream_ids = itertools.count(1)
PYTHON = "/usr/bin/python3"


class Host:
    def __init__(self, name, ns, mac, addresses, interface="eth0"):
        self.name, self.ns, self.mac, self.interface = name, ns, mac, interface
        self.addresses = list(addresses)  # plain text, no prefix length
        self._talker = None

    def address(self, v6=False):
        """The first address of a family, or None."""
        return next((a for a in self.addresses if packet.is_v6(a) == v6), None)

    @property
    def ip4(self):
        return self.address(False)

    @property
    def ip6(self):
        return self.address(True)

    def __repr__(self):
        return f"<host {self.name}>"

    # ---- small tools

    def command(self, *argv, **options):
        return self.ns.command(*argv, **options)

    def ping(self, address, count=1, timeout=2, size=None, df=None, ttl=None, interval=0.01, check=True):
        """True when every echo came back.  With check, anything else is an error that shows what ping said."""
        argv = ["ping", "-n", "-c", count, "-i", interval, "-W", timeout]
        if size is not None:
            argv += ["-s", size]
        if df is not None:
            argv += ["-M", "do" if df else "dont"]
        if ttl is not None:
            argv += ["-t", ttl]
        p = self.command(*argv, address, check=False, timeout=timeout + count + 10)
        m = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received(?:, \+(\d+) duplicates)?", p.stdout)
        ok = bool(m) and m[1] == m[2] and not m[3]
        if check and not ok:
            raise LabError(f"{self.name}: ping {address}: {(p.stdout + p.stderr).strip()}")
        return ok

    def ping_output(self, address, *options):
        p = self.command("ping", "-n", "-c", 1, "-W", 1, *options, address, check=False)
        return p.stdout + p.stderr

    def raw(self):
        return RawPort(self.ns, self.interface)

    def tap(self, **options):
        return Tap({self.name: (self.ns, self.interface)}, **options)

    def send(self, *frames):
        with self.raw() as port:
            port.send(*frames)

    def arping(self, address, timeout=2.0, source=None):
        """Ask by ARP (or neighbour solicitation) and return every MAC that answers, in order of arrival."""
        source = source or self.address(packet.is_v6(address))
        if packet.is_v6(address):
            question = packet.neighbour_solicitation(self.mac, source, address)

            def answer(f):
                p = packet.l3(f)
                return p and p[3] == 58 and p[4][0] == 136 and p[4][8:24] == packet.ip(address)

            read = lambda f: packet.mac_text(f[f.index(b"\x02\x01", 78) + 2 :][:6])  # noqa: E731
        else:
            question = packet.arp_request(self.mac, source, address)

            def answer(f):
                return packet.ethertype(f) == packet.ETH_ARP and f[20:22] == b"\0\2" and f[28:32] == packet.ip(address)

            read = lambda f: packet.mac_text(f[22:28])  # noqa: E731
        with self.tap(incoming_only=True, keep=lambda f: answer(f.data)) as tap:
            self.send(question)
            try:
                tap.wait(lambda f: True, timeout=timeout, what=f"an answer for {address}")
            except LabError:
                return []
            tap.settle(0.05)
            return [read(f.data) for f in tap.frames]

    def flush_neighbours(self):
        self.ns.ip(f"neigh flush dev {self.interface}")

    def socket(self, *args):
        return self.ns.socket(*args)

    # ---- a UDP packet or a TCP transfer between two hosts, in this process

    def udp_to(self, other, payload, v6=False, port=40000, timeout=1.0, df=None, address=None):
        """Send one datagram; True when it arrives whole."""
        family = socket.AF_INET6 if v6 else socket.AF_INET
        address = address or other.address(v6)
        with other.socket(family, socket.SOCK_DGRAM) as r, self.socket(family, socket.SOCK_DGRAM) as s:
            r.bind((address, port))
            r.settimeout(timeout)
            if df is not None:  # IP_MTU_DISCOVER / IPV6_MTU_DISCOVER: 2 = do, 0 = dont
                s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 23 if v6 else 10, 2 if df else 0)
            try:
                s.sendto(payload, (address, port))
                return r.recv(65536) == payload
            except socket.timeout:
                return False

    def tcp_to(self, other, size, v6=False, port=40001, timeout=10.0, address=None):
        """Send `size` bytes over one TCP connection; returns the number that arrived, whatever went wrong."""
        family = socket.AF_INET6 if v6 else socket.AF_INET
        address = address or other.address(v6)
        arrived = [0]
        with other.socket(family, socket.SOCK_STREAM) as server, self.socket(family, socket.SOCK_STREAM) as client:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            server.listen()
            server.settimeout(timeout)

            def receive():
                try:
                    c, _ = server.accept()
                    with c:
                        c.settimeout(timeout)
                        while chunk := c.recv(1 << 20):
                            arrived[0] += len(chunk)
                except OSError:
                    pass

            t = threading.Thread(target=receive)
            t.start()
            client.settimeout(timeout)
            try:
                client.connect((address, port))
                client.sendall(bytes(size))
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            t.join(timeout + 1)
        return arrived[0]

    # ---- steady traffic

    @property
    def talker(self):
        if self._talker is None:
            self._talker = Talker(self.ns)
        return self._talker

    def hang_up(self):
        """End the traffic program; the next stream starts a new one."""
        if self._talker:
            self.ns.run.end(self._talker.process)
            self._talker = None

    def iperf3_server(self, port=5201):
        p = self.ns.spawn("iperf3", "-s", "-1", "-p", port, stdout=-3, stderr=-3)
        wait_until(lambda: f":{port} " in self.command("ss", "-Hltn").stdout, 5, "iperf3 listening")
        return p

    def iperf3(self, other, seconds=2, v6=False, streams=1, port=5201, omit=0):
        """Gbit/s that arrived, one or more cubic TCP streams."""
        server = other.iperf3_server(port)
        line = f"iperf3 -c {other.address(v6)} -p {port} -C cubic -t {seconds} -P {streams} -O {omit} -J"
        p = self.command(*line.split(), timeout=seconds + 20, check=False)
        other.ns.run.end(server)
        result = json.loads(p.stdout)
        if "error" in result:
            raise LabError(f"iperf3 {self.name} -> {other.name}: {result['error']}")
        return result["end"]["sum_received"]["bits_per_second"] / 1e9


class Talker:
    """The program talker.py inside a namespace.  Answers of a command come back in order."""

    def __init__(self, ns):
        self.process = ns.spawn(
            PYTHON, "-IS", os.path.join(_here, "talker.py"), stdin=-1, stdout=-1, text=True, bufsize=1
        )
        self.listening = set()
        self._lock = threading.Lock()
        self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise LabError("the traffic program ended")
        answer = json.loads(line)
        if "failed" in answer:
            raise LabError(f"traffic program: {answer['failed']}")
        return answer

    def tell(self, do, **spec):
        with self._lock:
            self.process.stdin.write(json.dumps({"do": do, **spec}) + "\n")
            self.process.stdin.flush()
            return self._read()

    def listen(self, kind, address, port):
        if (kind, address, port) not in self.listening:
            self.tell(kind + "_listen", address=address, port=port)
            self.listening.add((kind, address, port))


class UdpStream:
    """Numbered UDP packets from one host to another, until stop()."""

    def __init__(self, source, target, rate=1000, v6=False, port=7000, size=64, fill="\0"):
        self.source, self.target, self.id = source, target, next(_stream_ids)
        address = target.address(v6)
        target.talker.listen("udp", address, port)
        source.talker.tell("udp_send", id=self.id, to=[address, port], rate=rate, size=size, fill=fill)

    def received(self):
        return self.target.talker.tell("udp_report", id=self.id)["received"]

    def sent(self):
        return self.source.talker.tell("udp_sent", id=self.id)["sent"]

    def wait_flowing(self, more=100, timeout=5):
        """Until `more` further packets have arrived."""
        start = self.received()
        wait_until(
            lambda: self.received() >= start + more, timeout, f"{more} packets {self.source.name} -> {self.target.name}"
        )

    def stop(self, timeout=1.0):
        """Stop sending, wait for what is under way, and report: sent, received, lost, duplicates, longest_gap_ms ..."""
        sent = self.source.talker.tell("udp_stop", id=self.id)
        try:
            wait_until(lambda: self.received() >= sent["sent"], timeout, "the last packet")
        except LabError:
            pass  # what is missing now is lost; the report says how much
        return {**self.target.talker.tell("udp_report", id=self.id, sent=sent["sent"]), **sent}


class TcpFlows:
    """Long TCP flows that exchange a small message every interval."""

    def __init__(self, source, target, count=20, v6=False, port=7001, interval_ms=50, timeout=5):
        self.source, self.id = source, next(_stream_ids)
        address = target.address(v6)
        target.talker.listen("tcp", address, port)
        source.talker.tell("tcp_flows", id=self.id, to=[address, port], count=count, interval_ms=interval_ms)
        wait_until(
            lambda: self.report()["least_messages"] > 0, timeout, f"{count} TCP flows {source.name} -> {target.name}"
        )

    def report(self):
        return self.source.talker.tell("tcp_report", id=self.id)

    def wait_flowing(self, more=2, timeout=5):
        """Until every flow has exchanged `more` further messages."""
        start = self.report()["least_messages"]
        wait_until(lambda: self.report()["least_messages"] >= start + more, timeout, "every TCP flow going on")

    def stop(self):
        r = self.report()
        self.source.talker.tell("tcp_close", id=self.id)
        return r
