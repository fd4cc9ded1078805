# SPDX-License-Identifier: Apache-2.0
"""What src/wg/probe.h measures of a path that is made here: a program between two tunnels takes time, and lets through what fits.

    a, lab-wg-tunnel --- 192.0.2.2:40000 [ Hop in namespace b ] --- lab-wg-tunnel, b

The whole of a fabric with a narrow hop is in test_secure_mtu.py.
"""
import contextlib
import heapq
import select
import socket
import threading
import time

from lab.capture import Tap
from lab.run import Run, command, wait_until
from lab.wireguard import PORT, Tunnel, Tunnels, WireguardGo, in_hex, key_pair, namespaces, ping

COMPLETE, MEASURED = 3, 16
WIREGUARD = 0


class Hop:
    """Datagrams of one tunnel to another and back, `delay` later each; longer ones vanish."""

    def __init__(self, ns, there, delay, carries):
        self.delay, self.carries, self.largest = delay, carries, 0
        self.near = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.near.bind(("192.0.2.2", 40000))
        self.far = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.connect((there, PORT))
        self.caller, self.ending = None, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _take(self, s, waiting):
        data, sender = s.recvfrom(65535)
        if s is self.near:
            self.caller = sender
        self.largest = max(self.largest, len(data) + 28)
        if len(data) + 28 <= self.carries:
            heapq.heappush(waiting, (time.monotonic() + self.delay, len(waiting), s is self.near, data))

    def _run(self):
        waiting = []
        while not self.ending:
            left = max(0, waiting[0][0] - time.monotonic()) if waiting else 0.1
            for s in select.select([self.near, self.far], [], [], left)[0]:
                self._take(s, waiting)
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, forth, data = heapq.heappop(waiting)
                if forth:
                    self.far.send(data)
                else:
                    self.near.sendto(data, self.caller)

    def close(self):
        self.ending = True
        self.thread.join()
        self.near.close()
        self.far.close()


def test_a_path_that_is_slow_and_narrow():
    with Tunnels(know=False) as two:
        hop = Hop(two.b, "192.0.2.2", 0.02, 1400)
        with contextlib.closing(hop), Tap({"b0": (two.b, "b0")}, keep=lambda f: len(f.data) > 1000 and f.incoming) as tap:
            two.endpoints[1] = ("192.0.2.2", 40000)
            for i in (0, 1):
                two.introduce(i, endpoint=i == 0)
                assert two.tunnels[i].ask("path", in_hex(two.keys[1 - i]), 1500)["result"] == 0
            two.ready()
            for i in (0, 1):
                path = lambda i=i: two.status(i)["path"]  # noqa: E731
                wait_until(lambda: path()["limit"] > 0, 30, "the size that gets through")  # noqa: B023
                assert (path()["state"], path()["mtu"], path()["limit"]) == (COMPLETE, 1388, 1388)
                assert 40000 <= path()["rtt_us"]
                assert path()["loss_out"] == 0, "what was too long is not lost"
                wait_until(lambda i=i: any(e & MEASURED for e in two.tunnels[i].events), 5, "the event")
            assert hop.largest == 1500, "whole, and no longer than was told"
            assert two.lost() == [{}, {}]
            assert tap.total > 3 and all(f.data[20] & 0x40 for f in tap.snapshot()), "nobody may cut them"


def test_who_knows_nothing_of_probes_is_no_worse_off():
    """wireguard-go, which drops them, stands in for an older version."""
    run = Run()
    try:
        a, b = namespaces(run)
        ours, theirs = key_pair(), key_pair()
        psk = command(["wg", "genpsk"]).stdout.strip()
        go = WireguardGo(run, b, theirs[0], ours[1], psk, ("192.0.2.1", PORT))
        tunnel = Tunnel(a, ours[0])
        a.ip("addr add 10.9.0.1/24 dev sec0")
        assert tunnel.peer(theirs[1], ["10.9.0.2", "fd09::2"], ("192.0.2.2", PORT), WIREGUARD, psk) == 0
        assert tunnel.ask("path", in_hex(theirs[1]), 1500)["result"] == 0
        ping(a, "10.9.0.2", 50)
        path = tunnel.status(theirs[1])["path"]
        assert (path["state"], path["mtu"], path["limit"], path["rtt_us"]) == (0, 0, 0, 0)
        assert sum(tunnel.status(theirs[1])["drops"].values()) == 0
        assert go.handshake_s() > 0
        tunnel.close()
    finally:
        run.close()
