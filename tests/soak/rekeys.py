# SPDX-License-Identifier: Apache-2.0
"""Row E5: sessions are renewed, by either end in turn, 1,000 times at least, under 50,000 packets/s or what the machine can do."""
import json
import os
import subprocess
import time

from lab.node import build_directory
from lab.run import LabError, wait_until
from lab.wireguard import Tunnels
from soak.run import Figure

RATE, LEAST = 50000, 20000  # packets/s
TRIED = 3 * RATE  # packets without renewals
BETWEEN = RATE // 25  # packets between two renewals
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
    while rate >= LEAST:
        flow = Steady(two, rate)
        wait_until(lambda before=two.status(0)["sent"]: two.status(0)["sent"] - before >= TRIED, 60, "packets", 0.1)
        got = flow.stop()
        if got["lost"] == 0:
            return rate
        print(f"  {got['lost']} of {got['sent']} packets lost at {rate}/s without renewals", flush=True)
        rate = rate * 4 // 5
    raise LabError(f"packets are lost at {LEAST}/s without renewals: is the machine busy with something else?")


def through(two):
    """What was sent so far, and some more, has arrived: a session is kept for two more, not for ever."""
    mark = two.status(0)["sent"] + BETWEEN
    wait_until(lambda: two.status(1)["received"] >= mark, 60, "packets")


def soak(seconds):
    with Tunnels(workers=2) as two:
        two.ready()
        flow, made, end = Steady(two, sustained(two)), 0, time.monotonic() + seconds
        while (time.monotonic() < end or made < WANTED) and flow.process.poll() is None:
            two.renew(made % 2)
            made += 1
            through(two)
        got = flow.stop()
        drops = two.lost()
    print(f"  dropped at the sender, at the receiver: {drops}", flush=True)
    others = sum(n for lost in drops for name, n in lost.items() if name not in Tunnels.OF_HANDSHAKES)
    return [
        Figure("sessions", made, "", f">= {WANTED}"),
        Figure("rate", got["rate"], "packets/s"),
        Figure("sent", got["sent"], "packets"),
        Figure("lost", got["lost"], "packets", "= 0"),
        Figure("delivered twice", got["twice"], "packets", "= 0"),
        Figure("drops that are not of handshakes", others, "", "= 0"),
    ]
