# SPDX-License-Identifier: Apache-2.0
"""What tests of encryption share: keys, wireguard-go, a node's tunnel without the node (lab-wg-tunnel), traffic."""
import base64
import hashlib
import json
import os
import queue
import shutil
import socket
import struct
import subprocess
import threading

from lab.netns import make_namespaces
from lab.node import build_directory
from lab.run import Run, command, wait_until

PORT = 51820


def key_pair():
    private = command(["wg", "genkey"]).stdout.strip()
    return private, command(["wg", "pubkey"], input=private).stdout.strip()


def in_hex(key):
    return base64.b64decode(key).hex()


class OtherWireguard:
    """A program that is not ours, with an interface of its own."""

    def __init__(self, run, ns, private, public, psk, endpoint=None):
        self.ns, self.public, self.name = ns, public, f"wgo{os.getpid() % 100000}"
        self.psk = os.path.join(run.directory, "psk")
        self.private = os.path.join(run.directory, "private")
        for path, text in ((self.psk, psk), (self.private, private)):
            with open(path, "w") as f:
                f.write(text)
        self.start()
        self.wg("set", self.name, "listen-port", PORT, "private-key", self.private)
        self.add(endpoint)
        ns.ip(f"""addr add 10.9.0.2/24 dev {self.name}
                  addr add fd09::2/64 dev {self.name}
                  link set {self.name} mtu 1420 up""")

    def wg(self, *argv):
        return self.ns.command("wg", *argv).stdout

    def add(self, endpoint=None):
        where = ()
        if endpoint:
            where = ("endpoint", f"[{endpoint[0]}]:{endpoint[1]}" if ":" in endpoint[0] else f"{endpoint[0]}:{endpoint[1]}")
        self.wg("set", self.name, "peer", self.public, "preshared-key", self.psk, "allowed-ips", "10.9.0.1/32,fd09::1/128",
                *where)

    def forget(self):
        """All its keys go with the peer: the next packet asks for a session."""
        self.wg("set", self.name, "peer", self.public, "remove")

    def endpoint(self):
        return self.wg("show", self.name, "endpoints").split("\t")[1].strip()

    def handshake_s(self):
        return int(self.wg("show", self.name, "latest-handshakes").split("\t")[1])


class WireguardGo(OtherWireguard):
    def start(self):
        self.ns.spawn("wireguard-go", "-f", self.name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(f"/var/run/wireguard/{self.name}.sock"), 10, "wireguard-go")

    @staticmethod
    def is_here():
        return shutil.which("wireguard-go") is not None


class KernelWireguard(OtherWireguard):
    def start(self):
        self.ns.ip(f"link add {self.name} type wireguard")

    @staticmethod
    def is_here():
        return command(["modprobe", "-q", "wireguard"], check=False).returncode == 0


def namespaces(run):
    a, b = make_namespaces(run, ["a", "b"])
    command(["ip", "-n", a.full_name, "link", "add", "a0", "type", "veth", "peer", "name", "b0", "netns", b.full_name])
    for ns, link, last in ((a, "a0", 1), (b, "b0", 2)):
        ns.ip(f"""addr add 192.0.2.{last}/24 dev {link}
                  addr add 2001:db8::{last}/64 dev {link}
                  link set {link} up""")
    return a, b


class Tunnel:
    """lab-wg-tunnel in a namespace: its device is sec0, its workers are threads."""

    UP, DOWN, MOVED, LOST = 1, 2, 4, 8

    def __init__(self, ns, private, workers=2, mtu=1420, port=PORT, peers=8, environment=None):
        path = os.path.join(build_directory(), "tests", "lab", "lab-wg-tunnel")
        self.ns, self.events, self._answers = ns, [], queue.Queue()
        self.process = ns.spawn(path, "sec0", in_hex(private), port, workers, mtu, peers, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                env={**os.environ, **(environment or {})})
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        first = self._answers.get(timeout=30)
        self.ifindex, self.public = first["ifindex"], base64.b64encode(bytes.fromhex(first["public"])).decode()

    def _read(self):
        for line in self.process.stdout:
            words = json.loads(line)
            if "event" in words:
                self.events.append(words["event"])
            else:
                self._answers.put(words)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self._answers.get(timeout=30)

    def peer(self, public, addresses, endpoint=None, suite="best", psk=None, keepalive=0):
        return self.ask("peer", in_hex(public), in_hex(psk) if psk else "0" * 64, suite, keepalive, ",".join(addresses), *(endpoint or ()))["result"]

    def plain(self, public, addresses, device, mac, mtu=1440, psk=None):
        return self.ask("plain", in_hex(public), in_hex(psk) if psk else "0" * 64, device, mac, mtu, ",".join(addresses))["result"]

    def status(self, public):
        return self.ask("status", in_hex(public))

    def speak_ipv6(self):
        """The TAP does not by itself; here the kernel stands in for BPF."""
        with self.ns, open("/proc/sys/net/ipv6/conf/sec0/disable_ipv6", "w") as f:
            f.write("0")

    def drops(self):
        """Those that there were."""
        return {name: n for name, n in self.ask("drops")["drops"].items() if n}

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self._thread.join()


VXLAN = 50  # bytes around a frame, over IPv4


class Tunnels:
    """Two of them.  What BPF does with a node's traffic the kernel's own routing and VXLAN device do here.

        namespace a                                            namespace b
        vx0 10.8.0.1, fd08::1     VXLAN, as BPF puts it on     vx0 10.8.0.2, fd08::2
        sec0 10.9.0.1, fd09::1    the tunnel's TAP             sec0 10.9.0.2, fd09::2
        a0 192.0.2.1, 2001:db8::1  --------------------------  b0 192.0.2.2, 2001:db8::2
    """

    def __init__(self, underlay="4", workers=2, know=True, suite="best"):
        self.run = Run()
        try:
            self.a, self.b = self.ns = namespaces(self.run)
            self.private = [base64.b64encode(os.urandom(32)).decode() for _ in self.ns]
            self.endpoints = [("192.0.2.1", PORT), ("192.0.2.2", PORT)] if underlay == "4" else [("2001:db8::1", PORT), ("2001:db8::2", PORT)]
            self.tunnels, self.suite = [Tunnel(ns, key, workers) for ns, key in zip(self.ns, self.private)], suite
            self.keys = [t.public for t in self.tunnels]
            for i in (0, 1):
                self.address(i)
                if know:
                    self.introduce(i)
        except BaseException:
            self.run.close()
            raise

    def address(self, i, mtu=1420):
        self.tunnels[i].speak_ipv6()
        self.ns[i].ip(f"""addr add 10.9.0.{1 + i}/24 dev sec0
                          addr add fd09::{1 + i}/64 dev sec0 nodad
                          link add vx0 type vxlan id 7 local 10.9.0.{1 + i} remote 10.9.0.{2 - i} dstport 4789 noudpcsum
                          addr add 10.8.0.{1 + i}/24 dev vx0
                          addr add fd08::{1 + i}/64 dev vx0 nodad
                          link set vx0 mtu {mtu - VXLAN} up""")

    def introduce(self, to, endpoint=True):
        """Tells one of the other."""
        other = 1 - to
        assert self.tunnels[to].peer(self.keys[other], [f"10.9.0.{1 + other}", f"fd09::{1 + other}"], self.endpoints[other] if endpoint else None,
                                     self.suite) == 0

    def status(self, of):
        """Of the other one, as it says."""
        return self.tunnels[of].status(self.keys[1 - of])

    def ready(self):
        wait_until(lambda: all(self.status(i)["ready"] for i in (0, 1)), 15, "sessions")

    # What renewals leave behind that are asked for again and again: an answer to one that another has replaced is for nobody, and
    # one that comes too soon behind another is not taken.
    OF_HANDSHAKES = {"unknown_index", "old_handshake"}

    def renew(self, end):
        """Another session, begun by one of them."""
        before = self.status(0)["handshakes"]

        def has_another():
            self.tunnels[end].ask("rekey", in_hex(self.keys[1 - end]))
            return self.status(0)["handshakes"] > before

        wait_until(has_another, 20, "another session", 0.025)  # two asked for within 20 ms are one, mostly

    def lost(self):
        """All drops but those of what the kernel's IPv6 says to everybody by itself."""
        return [{k: v for k, v in t.drops().items() if k not in ("no_peer", "unknown_peer")} for t in self.tunnels]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                for t in self.tunnels:
                    t.close()
        finally:
            self.run.close()


def ping(ns, address, count=3):
    # Under load a packet takes its time; lost it may not be.
    out = ns.command("ping", "-n", "-c", count, "-i", "0.05", "-W", "10", address, timeout=60).stdout
    assert f"{count} received" in out, out


def stream(source, target, address, size=4_000_000):
    """A TCP stream of bytes that say where they belong."""
    data = hashlib.shake_256(address.encode()).digest(size)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    got = []

    def receive(listener):
        connection, _ = listener.accept()
        with connection:
            while chunk := connection.recv(1 << 20):
                got.append(chunk)

    with target.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((address, 7000))
        listener.listen(1)
        listener.settimeout(60)
        thread = threading.Thread(target=receive, args=(listener,), daemon=True)
        thread.start()
        with source.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(60)
            s.connect((address, 7000))
            s.sendall(data)
        thread.join(60)
    assert b"".join(got) == data


class Flow:
    """Numbered datagrams from one to another, some hundred a second; which came, and were they in order?"""

    def __init__(self, source, target, address, port=7000, fill=b""):
        self.sent, self.got, self.ending, self.fill = 0, [], threading.Event(), fill
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.target = target.socket(family, socket.SOCK_DGRAM)
        self.target.bind((address, port))
        self.target.settimeout(5)
        self.source = source.socket(family, socket.SOCK_DGRAM)
        self.source.connect((address, port))
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._send, self._receive)]
        for t in self.threads:
            t.start()

    def _send(self):
        while not self.ending.wait(0.004):
            self.source.send(struct.pack("!I", self.sent) + self.fill)
            self.sent += 1
        self.source.send(struct.pack("!I", 0xffffffff))

    def _receive(self):
        while (n := struct.unpack("!I", self.target.recv(2048)[:4])[0]) != 0xffffffff:
            self.got.append(n)

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join()
        self.source.close()
        self.target.close()

    def lost(self):
        assert self.got == sorted(self.got), "a flow keeps its order"
        return self.sent - len(self.got)


def first_mac(public, message):
    key = hashlib.blake2s(b"mac1----" + base64.b64decode(public)).digest()
    return hashlib.blake2s(message, key=key, digest_size=16).digest()


class Flood:
    """Initiations with a right first MAC and nothing right behind it, as anybody can make them who knows a public key."""

    def __init__(self, ns, public, target, pause=0.05):
        self.pause = pause
        self.socket, self.target = ns.socket(socket.AF_INET, socket.SOCK_DGRAM), target
        body = b"\1\0\0\0" + os.urandom(112)
        self.message = body + first_mac(public, body) + bytes(16)
        self.stop, self.thread = threading.Event(), threading.Thread(target=self._send, daemon=True)

    def _send(self):
        while not self.stop.wait(self.pause):
            for _ in range(100):
                self.socket.sendto(self.message, self.target)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.socket.close()
