# SPDX-License-Identifier: Apache-2.0
"""src/wg/tunnel.h: the threads, the TAP device and the sockets that run the protocol; two of them (lab/wireguard.py), and one beside
wireguard-go."""
import os
import signal
import socket
import struct
import subprocess

import pytest
from helpers import is_sanitized, resident_kb

from lab.capture import Tap
from lab.node import build_directory
from lab.run import Run, command, wait_until
from lab.wireguard import PORT, Flood, Flow, Tunnel, Tunnels, WireguardGo, in_hex, key_pair, namespaces, ping, stream

WIREGUARD, ISTHMUS = 0, 1


@pytest.mark.parametrize("underlay,workers", [("4", 1), ("4", 4), ("6", 2)])
def test_everything_crosses_and_nothing_in_clear(underlay, workers):
    with Tunnels(underlay, workers) as two, Tap({"a0": (two.a, "a0")}, keep=not_encrypted) as tap:
        two.ready()
        for last in ("10.9.0.2", "fd09::2", "10.8.0.2", "fd08::2"):
            ping(two.a, last)
            stream(two.a, two.b, last)
        stream(two.b, two.a, "fd08::1")
        assert two.status(0)["suite"] == two.status(1)["suite"] == ISTHMUS
        assert two.lost() == [{}, {}]
        assert tap.total == 0 and tap.lost == 0


def not_encrypted(frame):
    """Anything on the wire but the tunnel's port, neighbour discovery, and that nobody is at that port."""
    kind, = struct.unpack_from("!H", frame.data, 12)
    if kind == 0x0806:
        return False
    protocol, l4 = (frame.data[23], 34) if kind == 0x0800 else (frame.data[20], 54)
    if (kind == 0x86dd and protocol in (0, 58)) or (protocol == 1 and frame.data[l4] == 3):
        return False
    return protocol != 17 or struct.unpack_from("!HH", frame.data, l4) != (PORT, PORT)


def test_the_check_for_clear_text_sees_it():
    with Tunnels() as two, Tap({"a0": (two.a, "a0")}, keep=not_encrypted) as tap:
        ping(two.a, "192.0.2.2", 1)
        wait_until(lambda: tap.total > 0, 5, "a frame in clear text")


@pytest.mark.parametrize("ours_know", [True, False])
def test_wireguard_go_is_a_peer_like_any(ours_know):
    run = Run()
    try:
        a, b = namespaces(run)
        ours, theirs = key_pair(), key_pair()
        psk = command(["wg", "genpsk"]).stdout.strip()
        go = WireguardGo(run, b, theirs[0], ours[1], psk, None if ours_know else ("192.0.2.1", PORT))
        tunnel = Tunnel(a, ours[0])
        tunnel.speak_ipv6()
        a.ip("addr add 10.9.0.1/24 dev sec0\naddr add fd09::1/64 dev sec0 nodad")
        assert tunnel.peer(theirs[1], ["10.9.0.2", "fd09::2"], ("192.0.2.2", PORT) if ours_know else None, WIREGUARD, psk) == 0
        ping(a if ours_know else b, "10.9.0.2" if ours_know else "10.9.0.1")
        stream(a, b, "10.9.0.2")
        stream(b, a, "fd09::1")
        for _ in range(3):
            tunnel.ask("rekey", in_hex(theirs[1]))
            ping(b, "10.9.0.1")
        go.wg("set", go.name, "listen-port", "40002")
        ping(b, "10.9.0.1")
        wait_until(lambda: tunnel.status(theirs[1])["port"] == 40002, 5, "it has moved")
        ping(a, "10.9.0.2")
        assert Tunnel.MOVED in [e & Tunnel.MOVED for e in tunnel.events]
        status = tunnel.status(theirs[1])
        assert status["suite"] == WIREGUARD and status["handshakes"] >= 4
        assert sum(status["drops"].values()) == 0
        tunnel.close()
    finally:
        run.close()


class Plain:
    """wireguard-go as a plain peer; the kernel of namespace a stands in for BPF at its device p0, by having the gateway's MAC."""

    ADDRESSES = ["10.9.0.2", "fd09::2"]
    MAC = "02:00:00:00:00:fe"

    def __init__(self, run):
        self.a, self.b = namespaces(run)
        self.ours, self.theirs = key_pair(), key_pair()
        self.psk = command(["wg", "genpsk"]).stdout.strip()
        self.go = WireguardGo(run, self.b, self.theirs[0], self.ours[1], self.psk, ("192.0.2.1", PORT))
        self.tunnel = Tunnel(self.a, self.ours[0])

    def set(self, addresses=ADDRESSES):
        return self.tunnel.plain(self.theirs[1], addresses, "p0", self.MAC, psk=self.psk)

    def plug(self):
        with self.a, open("/proc/sys/net/ipv6/conf/p0/disable_ipv6", "w") as f:
            f.write("0")
        self.a.ip(f"""link set p0 address {self.MAC} up
                      addr add 10.9.0.1/24 dev p0
                      addr add fd09::1/64 dev p0 nodad""")

    def drops(self):
        return {k: n for k, n in self.tunnel.status(self.theirs[1])["drops"].items() if n}


def test_a_plain_peer_is_behind_a_device_of_its_own():
    run = Run()
    try:
        p = Plain(run)
        assert p.set() == 0
        link = p.a.link("p0")
        assert "UP" not in link["flags"] and "NOARP" in link["flags"] and link["mtu"] == 1440
        p.plug()
        ping(p.b, "10.9.0.1")
        for there, address in ((p.b, "10.9.0.2"), (p.b, "fd09::2"), (p.a, "10.9.0.1"), (p.a, "fd09::1")):
            stream(p.a if there is p.b else p.b, there, address)
        assert p.tunnel.status(p.theirs[1])["suite"] == WIREGUARD and p.drops() == {}

        p.b.ip(f"addr add 10.9.0.77/24 dev {p.go.name}")  # nobody speaks for another
        p.b.command("ping", "-n", "-c", 3, "-i", "0.05", "-W", 1, "-I", "10.9.0.77", "10.9.0.1", check=False)
        wait_until(lambda: p.drops() == {"wrong_source": 3}, 5, "wrong_source")
        assert p.set(["10.9.0.77", *p.ADDRESSES]) == 0  # until it is its own, under traffic
        p.b.command("ping", "-n", "-c", 3, "-i", "0.05", "-W", 5, "-I", "10.9.0.77", "10.9.0.1")
        assert p.set() == 0

        p.a.ip("link set p0 address 02:00:00:00:00:77")  # what no program sent
        p.a.command("ping", "-n", "-c", 2, "-i", "0.05", "-W", 1, "10.9.0.2", check=False)
        wait_until(lambda: p.drops().get("not_ours", 0) >= 2, 5, "not_ours")
        p.a.ip(f"link set p0 address {p.MAC}")
        ping(p.a, "10.9.0.2")

        p.a.ip("link del p0")  # and it is made again
        wait_until(lambda: p.set() == 0 and p.a.link("p0"), 5, "another device")
        p.plug()
        ping(p.b, "10.9.0.1")

        pings = p.a.spawn("ping", "-n", "-q", "-c", "400", "-i", "0.005", "10.9.0.2", stdout=subprocess.DEVNULL)
        for _ in range(10):  # it comes and goes under traffic; its device is who set it up's
            assert p.tunnel.ask("remove", in_hex(p.theirs[1]))["result"] == 0
            assert p.a.link("p0")
            wait_until(lambda: p.set() == 0, 5, "the device is taken again")
        pings.kill()
        p.go.forget()
        p.go.add(("192.0.2.1", PORT))
        ping(p.b, "10.9.0.1")
        p.tunnel.close()
        assert p.a.link("p0")
    finally:
        run.close()


def test_what_waits_for_a_plain_peer_does_not_keep_the_tunnel():
    run = Run()
    try:
        p = Plain(run)
        assert p.set() == 0
        p.plug()
        with p.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # whose place is not known
            for _ in range(100):
                s.sendto(b"x", ("10.9.0.2", 7000))
        wait_until(lambda: p.drops().get("waiting_full", 0) >= 36, 10, "as much waits as may")
        p.tunnel.close()
    finally:
        run.close()


def test_what_waits_for_a_session_arrives_in_order():
    with Tunnels(know=False) as two:
        two.introduce(0)  # nobody answers yet
        with two.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, two.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
            s.bind(("10.9.0.2", 7000))
            s.settimeout(20)
            for n in range(40):
                c.sendto(struct.pack("!I", n), ("10.9.0.2", 7000))
            assert two.status(0)["sent"] == 0
            two.introduce(1)
            assert [struct.unpack("!I", s.recv(64))[0] for _ in range(40)] == list(range(40))
        assert "no_session" not in two.tunnels[0].drops()


def test_who_does_not_answer_is_waited_for_with_bounds():
    with Tunnels(know=False) as two:
        two.introduce(0)
        with two.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
            for _ in range(100):
                c.sendto(b"x", ("10.9.0.2", 7000))
        wait_until(lambda: two.status(0)["drops"]["waiting_full"] >= 36, 10, "no more than that waits")
        waited = 100 - two.status(0)["drops"]["waiting_full"]
        assert 0 < waited <= 64
        assert two.tunnels[0].ask("remove", in_hex(two.keys[1]))["result"] == 0
        wait_until(lambda: two.tunnels[0].drops().get("no_session", 0) >= waited, 10, "what waited is dropped")


def test_nobody_speaks_for_another():
    with Tunnels() as two:
        two.ready()
        two.a.ip("addr add 10.9.0.77/24 dev sec0")
        two.a.command("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-I", "10.9.0.77", "10.9.0.2", check=False)
        wait_until(lambda: two.status(1)["drops"]["wrong_source"] >= 3, 5, "wrong_source")
        two.a.command("ping", "-n", "-c", "1", "-W", "1", "10.9.0.99", check=False)
        wait_until(lambda: two.tunnels[0].drops().get("no_peer", 0) >= 1, 5, "no_peer")
        ping(two.a, "10.9.0.2")


def test_addresses_and_peers_change_in_place():
    with Tunnels() as two:
        two.ready()
        key, endpoint = two.keys[1], two.endpoints[1]
        assert two.tunnels[0].peer(key, ["10.9.0.3"], endpoint) == 0
        assert two.a.command("ping", "-n", "-c", "1", "-W", "0.3", "10.9.0.2", check=False).returncode != 0
        assert two.tunnels[0].peer(key, ["10.9.0.2", "10.9.0.3"], endpoint) == 0
        ping(two.a, "10.9.0.2")
        assert two.status(0)["handshakes"] == 1  # no session went
        stranger = key_pair()[1]
        assert two.tunnels[0].peer(stranger, ["10.9.0.9", "10.9.0.3"]) == -17  # EEXIST: it is another's
        assert two.tunnels[0].status(stranger)["result"] == -2
        assert two.tunnels[0].peer(stranger, ["10.9.0.9"]) == 0
        assert two.tunnels[0].ask("remove", in_hex(stranger))["result"] == 0
        ping(two.a, "10.9.0.2")


def test_new_sessions_under_load_lose_nothing():
    with Tunnels(workers=4) as two:
        two.ready()
        flows = [Flow(two.a, two.b, "10.8.0.2", port) for port in range(7000, 7008)]
        for n in range(100):
            two.renew(n % 2)
            # what was sent under the last is through: a session is kept for two more, not for ever
            marks = [flow.sent for flow in flows]
            wait_until(lambda marks=marks: all(flow.got and flow.got[-1] >= mark for flow, mark in zip(flows, marks)), 20, "packets")
        for flow in flows:
            flow.stop()
        assert [flow.lost() for flow in flows] == [0] * len(flows)
        assert not any(set(lost) - two.OF_HANDSHAKES for lost in two.lost()), two.lost()


def test_a_flood_of_handshakes_leaves_sessions_alone():
    """Row E6, small: forged initiations with a right first MAC."""
    with Tunnels(know=False) as two:
        two.introduce(0)
        two.introduce(1, endpoint=False)
        two.ready()
        with Flood(two.a, two.keys[1], two.endpoints[1], 0.005) as flood:
            wait_until(lambda: two.tunnels[1].drops().get("cookie_sent", 0) > 0, 20, "load")
            ping(two.a, "10.9.0.2", 50)
            stream(two.b, two.a, "10.8.0.1")
            assert flood.thread.is_alive()
        assert two.status(1)["handshakes"] == 1


def test_a_thousand_peers():
    """They all begin at once, each from an address of its own; what do they cost, and what does one more packet?"""
    run, n = Run(), 1000
    try:
        a, b = namespaces(run)
        b.ip("route add local 10.77.0.0/16 dev lo")
        a.ip("route add 10.77.0.0/16 via 192.0.2.2")
        tunnel = Tunnel(a, key_pair()[0], peers=n)
        path = os.path.join(build_directory(), "tests", "lab", "lab-wg-many")
        many = b.spawn(path, n, in_hex(tunnel.public), "192.0.2.1", PORT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        keys = [many.stdout.readline().strip() for _ in range(n)]
        before = resident_kb(tunnel.process.pid)
        for i, key in enumerate(keys):
            assert tunnel.ask("peer", key, "0" * 64, "best", 0, f"10.9.{i >> 8}.{i & 255}")["result"] == 0
        idle = resident_kb(tunnel.process.pid) - before
        assert is_sanitized(path) or idle <= 4 * n
        many.stdin.write("go\n")
        many.stdin.flush()
        assert int(many.stdout.readline()) <= 10000  # milliseconds
        assert all(tunnel.ask("status", key)["handshakes"] == 1 for key in keys[::100])
        assert is_sanitized(path) or resident_kb(tunnel.process.pid) - before <= 16 * n
        assert many.wait(30) == 0
        tunnel.close()
    finally:
        run.close()


def test_with_the_process_dead_there_is_no_way():
    with Tunnels() as two, Tap({"a0": (two.a, "a0")}, keep=not_encrypted) as tap:
        two.ready()
        pings = two.a.spawn("ping", "-n", "-q", "-i", "0.01", "10.8.0.2", stdout=subprocess.DEVNULL)
        two.tunnels[0].process.send_signal(signal.SIGKILL)
        wait_until(lambda: not two.a.link("sec0"), 10, "the device goes with it")
        two.a.command("ping", "-n", "-q", "-c", 30, "-i", "0.01", "-W", "1", "10.8.0.2", check=False)
        two.run.end(pings)
        assert tap.total == 0
        two.tunnels[0] = Tunnel(two.a, two.private[0])
        two.a.ip("link del vx0")
        two.address(0)
        two.introduce(0)
        ping(two.a, "10.8.0.2")


def test_a_device_that_is_taken_away_is_told_of():
    with Tunnels() as two:
        two.ready()
        two.a.ip("link del sec0")
        wait_until(lambda: Tunnel.LOST in two.tunnels[0].events, 5, "the event")
        assert two.status(0)["result"] == 0  # it lives, and asks and answers


def test_what_the_kernel_drops_is_counted():
    """Nobody reads for a while: first what is to be sent, then what came."""
    with Tunnels() as two:
        two.ready()
        with two.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
            two.tunnels[0].process.send_signal(signal.SIGSTOP)
            for _ in range(5000):
                c.sendto(bytes(1000), ("10.9.0.2", 7000))
            two.tunnels[0].process.send_signal(signal.SIGCONT)
            assert two.tunnels[0].drops()["tap_full"] > 0
            two.tunnels[1].process.send_signal(signal.SIGSTOP)
            while two.status(0)["sent"] < 30000:
                for _ in range(500):
                    c.sendto(bytes(1000), ("10.9.0.2", 7000))
            two.tunnels[1].process.send_signal(signal.SIGCONT)
            assert two.tunnels[1].drops()["socket_full"] > 0
        wait_until(lambda: two.a.command("ping", "-n", "-c", "1", "-W", "1", "10.9.0.2", check=False).returncode == 0, 10, "what is left is worked off")


def test_what_is_too_long_is_counted():
    with Tunnels() as two:
        two.ready()
        assert two.tunnels[0].ask("mtu", 1300)["result"] == 0
        two.a.ip("link set sec0 mtu 1420")  # whoever does not know
        two.a.command("ping", "-n", "-c", "1", "-W", "0.3", "-M", "do", "-s", "1350", "10.9.0.2", check=False)
        wait_until(lambda: two.status(0)["drops"]["too_big"] == 1, 5, "too_big")
        ping(two.a, "10.9.0.2")


def test_a_link_shorter_than_told_costs_no_packet():
    with Tunnels() as two:
        two.ready()
        for ns, link in ((two.a, "a0"), (two.b, "b0")):
            ns.ip(f"link set {link} mtu 1400")
        ping(two.a, "10.9.0.2")
        two.a.command("ping", "-n", "-c", "3", "-i", "0.05", "-s", "1380", "10.9.0.2")
        stream(two.a, two.b, "10.8.0.2")


def test_a_port_or_device_that_is_taken_is_refused():
    with Tunnels() as two:
        for words, error in ((("sec1", PORT), "in use"), (("sec0", 51999), "exists")):
            assert error in refusal(two, *words)


def refusal(two, device, port):
    path = os.path.join(build_directory(), "tests", "lab", "lab-wg-tunnel")
    p = two.a.spawn(path, device, in_hex(two.private[0]), port, 1, 1420, 1, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, words = p.communicate(timeout=10)
    assert p.returncode == 1
    return words
