# SPDX-License-Identifier: Apache-2.0
"""Row B5: one neighbor of ten is gone every 200 ms for ten minutes, in the middle of a message too."""
import os
import time

from lab import hand as bgp
from lab.run import LabError, for_as_long_as, wait_until
from soak.flood import attributes, macs
from soak.hands import HandLab
from soak.run import Figure

OTHERS = 9


def neighbors():
    return {"flapping": {"hold_time": 9}, **{f"other{i}": {"hold_time": 9} for i in range(OTHERS)}}


def processor_s(process):
    with open(f"/proc/{process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def storm(lab, seconds):
    node = lab.side("internal")
    others = [lab.hand(f"other{i}", hold_s=9).connect() for i in range(OTHERS)]
    resets_before = sum(lab.session(f"other{i}")["resets"] for i in range(OTHERS))
    address = lab.neighbors["flapping"]["address"]
    routes = next(macs(address, 4000))
    process, used, start = node.daemon.process, processor_s(node.daemon.process), time.monotonic()
    turns = up = refused = 0
    while time.monotonic() - start < seconds:
        hand = lab.hand("flapping", hold_s=9)
        begun = time.monotonic()
        try:
            # A clean beginning now and then, or it would be left alone for longer and longer.
            if turns % 5 == 0:
                node.isthmus("bgp", "reset", address)
            hand.connect(0.2)
            hand.send(routes[: len(routes) * (turns % 7 + 1) // 7 - turns % 19])
            up += 1
        except (OSError, LabError):
            refused += 1
        hand.close(reset=turns % 2 == 0)
        turns += 1
        rest = begun + 0.2 - time.monotonic()
        if rest > 0:
            for_as_long_as(rest, lambda: node.daemon.running, "the daemon", every=rest)
    used, took = processor_s(process) - used, time.monotonic() - start
    # Left alone for a time that is known; an operator's reset ends it.
    node.isthmus("bgp", "reset", address)
    hand = lab.hand("flapping", hold_s=9).connect_patiently()
    hand.update(bgp.update(attributes=bgp.reach(bgp.EVPN, address, bgp.imet_route(bgp.rd(address, 1), address)) + attributes()))
    wait_until(lambda: lab.session("flapping")["prefixesReceived"] == 1, 10, "it is heard again")
    sessions = [lab.session(f"other{i}") for i in range(OTHERS)]
    for h in (*others, hand):
        h.close()
    return [
        Figure("times that it came", turns),
        Figure("of them up to Established", up, "", f">= {turns // 20 + 1}"),
        Figure("of them left alone", refused),
        Figure("processor time of the daemon, of one core", used / took * 100, "%", "<= 30"),
        Figure("the same daemon at the end", node.daemon.process is process and process.poll() is None, "", "= 1"),
        Figure("other sessions that are up", sum(s["state"] == "Established" for s in sessions), "", f"= {OTHERS}"),
        Figure("resets of theirs", sum(s["resets"] for s in sessions) - resets_before, "", "= 0"),
    ]


def soak(seconds):
    with HandLab(neighbors()) as lab:
        return storm(lab, min(seconds, 600))
