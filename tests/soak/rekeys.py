# SPDX-License-Identifier: Apache-2.0
"""Row E5: sessions are renewed, by either end in turn, 1,000 times at least, under 50,000 packets/s or what the machine can do."""
import json
import os
import subprocess
import time

from lab.node import build_directory
from lab.run import wait_until
from lab.wireguard import Tunnels, in_hex
from soak.run import Figure

RATE = 50000  # packets/s
TRY_S = 3
LEAST_S = 0.04  # between two: a packet may wait that long in a full machine, and a session is kept for two more
WANTED = 1000


class Steady:
    """Numbered packets from one namespace to another; `stop` says which arrived."""

    def __init__(self, two, rate):
        path = os.path.join(build_directory(), "tests", "bench", "bench-packets")
        ends = [ns.path for ns in (two.a, two.b)]
        self.process = subprocess.Popen([path, "steady", *ends, "10.8.0.2", str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        out, _ = self.process.communicate(timeout=60)
        return json.loads(out)


def sustained(two):
    """The rate at which nothing is lost while nothing is renewed."""
    rate = RATE
    while True:
        flow = Steady(two, rate)
        time.sleep(TRY_S)
        got = flow.stop()
        if got["lost"] == 0:
            return rate
        print(f"  {got['lost']} of {got['sent']} packets lost at {rate}/s without renewals", flush=True)
        rate = rate * 4 // 5


def renew(two, end):
    before = two.status(0)["handshakes"]

    def has_another():
        two.tunnels[end].ask("rekey", in_hex(two.keys[1 - end]))
        return two.status(0)["handshakes"] > before

    wait_until(has_another, 20, "another session", 0.025)  # two asked for within 20 ms are one


def soak(seconds):
    with Tunnels(workers=2) as two:
        two.ready()
        flow, made, end = Steady(two, sustained(two)), 0, time.monotonic() + seconds
        while (time.monotonic() < end or made < WANTED) and flow.process.poll() is None:
            renew(two, made % 2)
            made += 1
            time.sleep(LEAST_S)
        got = flow.stop()
        drops = two.lost()
    print(f"  dropped at the sender, at the receiver: {drops}", flush=True)
    # an answer to a handshake that another has replaced is for nobody; a packet of the flow would be lost
    others = sum(n for lost in drops for name, n in lost.items() if name != "unknown_index")
    return [
        Figure("sessions", made, "", f">= {WANTED}"),
        Figure("rate", got["rate"], "packets/s"),
        Figure("sent", got["sent"], "packets"),
        Figure("lost", got["lost"], "packets", "= 0"),
        Figure("delivered twice", got["twice"], "packets", "= 0"),
        Figure("messages for nobody", sum(lost.get("unknown_index", 0) for lost in drops)),
        Figure("other drops", others, "", "= 0"),
    ]
