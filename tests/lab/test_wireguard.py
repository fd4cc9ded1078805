# SPDX-License-Identifier: Apache-2.0
"""src/wg against wireguard-go, and against the kernel's where it has one (`make test-kernel`): neither shares code with it.

    namespace a                                  namespace b
    lab-wg-peer, ist0 10.9.0.1, fd09::1   ----   the other, 10.9.0.2, fd09::2
    a0 192.0.2.1, 2001:db8::1                    b0 192.0.2.2, 2001:db8::2
"""
import json
import os
import subprocess
import threading

import pytest

from lab.capture import Tap
from lab.node import build_directory
from lab.run import Run, command, wait_until
from lab.wireguard import PORT, Flood, KernelWireguard, WireguardGo, in_hex, key_pair, namespaces, ping, stream

INITIATION = 148
WIREGUARD, ISTHMUS = 0, 1
OTHERS = [kind for kind in (WireguardGo, KernelWireguard) if kind.is_here()]
assert OTHERS, "neither wireguard-go nor a kernel that has WireGuard: apt-get install wireguard-go"


class Ours:
    """lab-wg-peer in a namespace."""

    def __init__(self, ns, private, public, psk, suite=WIREGUARD, endpoint=None, address="10.9.0.1", address6="fd09::1",
                 port=PORT):
        path = os.path.join(build_directory(), "tests", "lab", "lab-wg-peer")
        self.ns, self.state, self._changed = ns, {}, threading.Condition()
        self.process = ns.spawn(path, "ist0", in_hex(private), in_hex(public), in_hex(psk), suite, port,
                                *(endpoint or ()), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(lambda: self.state, 10, "lab-wg-peer")
        ns.ip(f"""addr add {address}/24 dev ist0
                  addr add {address6}/64 dev ist0
                  link set ist0 mtu 1420 up""")

    def _read(self):
        for line in self.process.stdout:
            self.state = json.loads(line)

    def tell(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def wait(self, timeout=10, **least):
        wait_until(lambda: all(self.state[k] >= v for k, v in least.items()), timeout, f"{least}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(5)
        self._thread.join()
        assert self.process.returncode == 0


class Two:
    """Both ends; whoever knows the other's endpoint can begin."""

    def __init__(self, kind, underlay="4", ours_knows=True, other_knows=True):
        self.run = Run()
        try:
            self.a, self.b = namespaces(self.run)
            a, b = ("192.0.2.1", "192.0.2.2") if underlay == "4" else ("2001:db8::1", "2001:db8::2")
            ours, theirs = key_pair(), key_pair()
            psk = command(["wg", "genpsk"]).stdout.strip()
            self.a_endpoint, self.public = (a, PORT), ours[1]
            self.other = kind(self.run, self.b, theirs[0], ours[1], psk, (a, PORT) if other_knows else None)
            self.ours = Ours(self.a, ours[0], theirs[1], psk, endpoint=(b, PORT) if ours_knows else None)
        except BaseException:
            self.run.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.ours.close()
        finally:
            self.run.close()


@pytest.fixture(params=OTHERS, ids=lambda kind: kind.__name__)
def other(request):
    return request.param


@pytest.mark.parametrize("underlay", ["4", "6"])
def test_we_begin(other, underlay):
    with Two(other, underlay, other_knows=False) as two:
        ping(two.a, "10.9.0.2")
        ping(two.a, "fd09::2")
        stream(two.a, two.b, "10.9.0.2")
        stream(two.b, two.a, "fd09::1")
        two.ours.wait(handshakes=1)
        assert two.other.handshake_s() > 0
        assert two.ours.state["refused"] == two.ours.state["forged"] == two.ours.state["lost"] == 0


@pytest.mark.parametrize("underlay", ["4", "6"])
def test_they_begin(other, underlay):
    with Two(other, underlay, ours_knows=False) as two:
        ping(two.b, "10.9.0.1")
        ping(two.b, "fd09::1")
        stream(two.b, two.a, "10.9.0.1")
        stream(two.a, two.b, "fd09::2")
        two.ours.wait(handshakes=1)
        assert two.ours.state["forged"] == two.ours.state["lost"] == 0


def test_new_sessions_by_both_lose_nothing(other):
    """Ours by rekey; theirs because their keys were taken away."""
    with Two(other) as two:
        ping(two.a, "10.9.0.2", 1)
        pings = two.a.spawn("ping", "-n", "-q", "-c", "150", "-i", "0.02", "-W", "10", "10.9.0.2", stdout=subprocess.PIPE,
                            text=True)
        for n in range(20):
            two.ours.tell("rekey")
            two.ours.wait(handshakes=2 + n)
        out, _ = pings.communicate(timeout=60)
        assert "150 received" in out, out
        before = two.ours.state["handshakes"]
        for n in range(3):
            two.other.forget()
            two.other.add(two.a_endpoint)
            ping(two.b, "10.9.0.1")
            two.ours.wait(handshakes=before + 1 + n)
        assert two.ours.state["forged"] == two.ours.state["lost"] == 0


def test_both_follow_who_moves(other):
    with Two(other) as two:
        ping(two.a, "10.9.0.2")
        two.ours.tell("move 40001")
        ping(two.a, "10.9.0.2")
        assert two.other.endpoint() == "192.0.2.1:40001"
        two.other.wg("set", two.other.name, "listen-port", "40002")
        ping(two.b, "10.9.0.1")
        two.ours.wait(port=40002)
        ping(two.a, "10.9.0.2")
        two.a.ip("addr del 192.0.2.1/24 dev a0\naddr add 192.0.2.77/24 dev a0")
        ping(two.a, "10.9.0.2")
        assert two.other.endpoint() == "192.0.2.77:40001"
        ping(two.b, "10.9.0.1")


def has_second_mac(frame):
    """Is this an initiation over IPv4 that carries a cookie's MAC?"""
    message = frame.data[14 + 20 + 8:]
    return len(message) == INITIATION and message[0] == 1 and message[132:] != bytes(16)


def test_they_prove_where_they_are_when_we_are_flooded(other):
    with Two(other, ours_knows=False) as two, Tap({"a0": (two.a, "a0")}, keep=has_second_mac) as tap:
        with Flood(two.b, two.public, two.a_endpoint) as flood:
            two.ours.wait(cookie_sent=1)
            pings = two.b.spawn("ping", "-n", "-q", "-c", "40", "-i", "1", "10.9.0.1", stdout=subprocess.DEVNULL)
            two.ours.wait(30, handshakes=1)
            two.run.end(pings)
            assert flood.thread.is_alive()
        assert tap.total >= 1
        ping(two.b, "10.9.0.1")


def test_we_prove_where_we_are_when_they_are_flooded(other):
    with Two(other, other_knows=False) as two, Tap({"a0": (two.a, "a0")}, keep=has_second_mac) as tap:
        public = two.other.wg("show", two.other.name, "public-key").strip()

        def asked_with_a_cookie():
            two.ours.tell("rekey")
            return tap.total > 0

        with Flood(two.a, public, ("192.0.2.2", PORT), 0):
            wait_until(asked_with_a_cookie, 30, "an initiation with a cookie's MAC", 0.1)
        # Of the sessions that were asked for ever anew they may still have forgotten the one that we use.
        once = ("ping", "-n", "-c", 1, "-W", "1", "10.9.0.2")
        wait_until(lambda: two.a.command(*once, check=False, timeout=10).returncode == 0, 30, "the session")
        ping(two.a, "10.9.0.2")


def test_our_nodes_with_their_own_suite():
    """AES-256-GCM, and WireGuard's when one of the two begins with that."""
    run = Run()
    try:
        a, b = namespaces(run)
        one, other = key_pair(), key_pair()
        psk = command(["wg", "genpsk"]).stdout.strip()
        left = Ours(a, one[0], other[1], psk, ISTHMUS, ("192.0.2.2", PORT))
        right = Ours(b, other[0], one[1], psk, WIREGUARD, None, "10.9.0.2", "fd09::2")
        ping(a, "10.9.0.2")
        stream(a, b, "10.9.0.2")
        stream(b, a, "fd09::1")
        wait_until(lambda: left.state["suite"] == right.state["suite"] == ISTHMUS, 10, "their own suite at both ends")
        right.tell("rekey")
        left.wait(handshakes=2)
        wait_until(lambda: left.state["suite"] == WIREGUARD, 5)
        ping(a, "10.9.0.2")
        assert left.state["lost"] == right.state["lost"] == 0
        left.close()
        right.close()
    finally:
        run.close()
