# SPDX-License-Identifier: Apache-2.0
"""One MAC at two nodes: moves (1,000 of them are `make soak CASE=moves`), and row B10; see tests/soak/moves.py for the picture."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak.moves import NODES, MovingLab, move  # noqa: E402
from soak.run import holds, line  # noqa: E402

from lab.host import UdpStream  # noqa: E402
from lab.run import for_as_long_as, wait_until  # noqa: E402


@pytest.fixture(scope="module")
def lab():
    with MovingLab() as lab:
        yield lab


def test_a_mac_that_moves_is_at_one_place(lab, record_property):
    figures = move(lab, 12)
    for f in figures:
        print(line(f))
        record_property(f.what, f.value)
    assert [line(f) for f in figures if not holds(f)] == []


def test_a_mac_at_two_places_is_frozen(lab):
    """Row B10: ten times a second it comes up again where it is not, and takes it from where it is: both have it."""
    stream, mac = UdpStream(lab.host("w1"), lab.host("w2")), lab.fabric.roaming
    before = {n: lab.session(n)["messagesSent"] for n in NODES}
    logged = {n: len(lab.node(n).daemon.log()) for n in NODES}
    for node in NODES:
        lab.set_link(node, "up")
    for _ in range(40):
        newcomer = NODES[0] if lab.said_by(NODES[1]) else NODES[1]
        lab.set_link(newcomer, "down")
        lab.set_link(newcomer, "up")
        for_as_long_as(0.1, lambda: all(n.daemon.running for n in lab.nodes.values()), "the daemons", every=0.1)
    said = {n: lab.session(n)["messagesSent"] - before[n] for n in NODES}
    alarms = [n for n in NODES if f"duplicate: MAC {mac}" in lab.node(n).daemon.log()[logged[n] :]]
    assert alarms and max(said.values()) <= 30, (alarms, said)
    wait_until(lambda: [bool(lab.said_by(n)) for n in NODES].count(True) == 1, 5, "one of them says that it has it")
    (newcomer,) = [n for n in NODES if not lab.said_by(n)]
    assert lab.free(newcomer), "it was frozen there"
    wait_until(lambda: lab.said_by(newcomer), 5, "it is heard when an operator says so")
    assert stream.stop()["lost"] == 0
    for node in NODES:
        lab.set_link(node, "down")
    wait_until(lambda: not any(map(lab.said_by, NODES)), 5, "nobody says anything of it")
