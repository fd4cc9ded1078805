# SPDX-License-Identifier: Apache-2.0
"""Row B4: one neighbor brings twice what it may, another 1,000,000 MAC routes; the others do not notice."""
import time

from lab import hand as bgp
from lab.run import LabError, wait_until
from soak.hands import SIDES, HandLab, memory_kb
from soak.run import Figure

AS = SIDES["internal"][1]
LIMIT, OTHERS = 1000, 8
HELD_S = 60  # how long it is left alone the first time


def neighbors():
    others = {f"other{i}": {"hold_time": 9} for i in range(OTHERS)}
    return {"greedy": {"maximum_prefix": LIMIT}, "large": {"hold_time": 9}, **others}


def attributes():
    return bgp.ORIGIN + bgp.as_path() + bgp.local_pref() + bgp.communities(bgp.route_target(AS, 5001), bgp.VXLAN)


def prefixes(count):
    """UPDATEs of IPv4 prefixes."""
    routes = [bytes([32]) + (0x0A800000 + i).to_bytes(4, "big") for i in range(count)]
    path = bgp.ORIGIN + bgp.as_path() + bgp.local_pref() + bgp.attribute(0x40, 3, b"\xc0\0\2\1")
    return b"".join(bgp.message(bgp.UPDATE, bgp.update(b"", path, b"".join(g))) for g in bgp.grouped(routes))


def macs(address, count, withdraw=False):
    """UPDATEs of MAC routes, some thousands at a time."""
    own = bgp.rd(address, 1)
    for at in range(0, count, 4096):
        routes = [
            bgp.mac_route(own, b"\x02\x0a" + i.to_bytes(4, "big"), 5001) for i in range(at, min(at + 4096, count))
        ]
        blocks = [b"".join(g) for g in bgp.grouped(routes)]
        if withdraw:
            bodies = [bgp.update(attributes=bgp.unreach(bgp.EVPN, b)) for b in blocks]
        else:
            bodies = [bgp.update(attributes=bgp.reach(bgp.EVPN, address, b) + attributes()) for b in blocks]
        yield b"".join(bgp.message(bgp.UPDATE, b) for b in bodies)


def refused(hand):
    """Is it left alone: no OPEN comes?"""
    try:
        hand.connect(1)
    except (OSError, LabError):
        return not hand.count(bgp.OPEN)
    finally:
        hand.close()
    return False


def flood(lab, count, to_the_end=False):
    """to_the_end: wait until the greedy one is heard again."""
    node = lab.side("internal")
    others = [lab.hand(f"other{i}", hold_s=9).connect() for i in range(OTHERS)]
    large = lab.hand("large", hold_s=9).connect()
    address = lab.neighbors["large"]["address"]
    resets_before = sum(lab.session(name)["resets"] for name in neighbors() if name != "greedy")
    greedy = lab.hand("greedy").connect()
    greedy.send(prefixes(2 * LIMIT), check=False)
    sent = time.monotonic()
    code, subcode, _ = greedy.wait_notification()
    ceased = max(m[0] for m in greedy.messages) - sent
    greedy.close()
    held = time.monotonic()
    is_refused = refused(greedy)
    before, start = memory_kb(node), time.monotonic()
    for block in macs(address, count):
        large.send(block)
    wait_until(lambda: lab.session("large")["prefixesReceived"] == count, 120, "all routes")
    took, peak = time.monotonic() - start, memory_kb(node)
    for block in macs(address, count, withdraw=True):
        large.send(block)
    wait_until(lambda: lab.session("large")["prefixesReceived"] == 0, 120, "no route")
    wait_until(lambda: memory_kb(node) <= 1.1 * before, 10, "memory given back", every=0.1)
    after = memory_kb(node)
    still_refused = refused(greedy) if time.monotonic() - held < HELD_S - 2 else True
    sessions = [lab.session(name) for name in neighbors() if name != "greedy"]
    resets = sum(s["resets"] for s in sessions)
    again = 0
    if to_the_end:
        greedy.connect_patiently(HELD_S + 15)
        again = time.monotonic() - held
        greedy.close()
    for hand in (*others, large):
        hand.close()
    return [
        Figure("CEASE code", code, "", "= 6"),
        Figure("CEASE subcode", subcode, "", "= 1"),
        Figure("until it came", ceased, "s", "<= 1"),
        Figure("refused at once after it, and at the end", is_refused + still_refused, "", "= 2"),
        *([Figure("heard again after", again, "s", f">= {HELD_S - 1}")] if to_the_end else []),
        Figure("MAC routes", count),
        Figure("learned in", took, "s"),
        Figure("memory before, with them", before / 1024, "MiB"),
        Figure("memory with them", peak / 1024, "MiB"),
        Figure("memory after them, of that before", after / before, "", "<= 1.1"),
        Figure("sessions with a hold time of 9 s that are up", sum(s["state"] == "Established" for s in sessions), "",
               f"= {OTHERS + 1}"),
        Figure("resets of theirs", resets - resets_before, "", "= 0"),
    ]


def soak(seconds):
    with HandLab(neighbors()) as lab:
        return flood(lab, 1000000, to_the_end=True)
