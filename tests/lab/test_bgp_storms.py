# SPDX-License-Identifier: Apache-2.0
"""Rows B4, B5 and B11 in seconds: neighbors that flood, flap, get stuck or are gone; see tests/soak/hands.py for the room.

Long forms: `make soak CASE=flood`, `CASE=flaps`, `CASE=stuck`.
"""
import os
import signal
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak import flaps, flood, stuck  # noqa: E402
from soak.hands import HandLab  # noqa: E402
from soak.run import holds, line  # noqa: E402

from lab import hand as bgp  # noqa: E402
from lab.run import for_as_long_as, wait_until  # noqa: E402


@pytest.fixture(scope="module")
def lab():
    neighbors = {**flood.neighbors(), **flaps.neighbors(), **stuck.neighbors(), "brief": {}}
    with HandLab(neighbors) as lab:
        yield lab


def judge(figures, record_property):
    for f in figures:
        print(line(f))
        record_property(f.what, f.value)
    assert [line(f) for f in figures if not holds(f)] == []


def test_a_neighbor_that_brings_too_much_is_left_alone(lab, record_property):
    judge(flood.flood(lab, 50000), record_property)


def test_a_neighbor_that_flaps_disturbs_nobody(lab, record_property):
    judge(flaps.storm(lab, 10), record_property)


def test_a_neighbor_that_is_stuck_is_given_up_in_time(lab, record_property):
    judge(stuck.hold_timers(lab), record_property)


def test_a_daemon_that_was_held_up_hears_first_who_has_spoken(lab):
    """Stopped for longer than the hold time, with KEEPALIVEs of all waiting when it goes on: nobody is taken for dead."""
    daemon, names = lab.side("internal").daemon, list(stuck.neighbors())
    hands = [lab.hand(name, hold_s=stuck.HOLD_S).connect_patiently() for name in names]
    before = [lab.session(name)["resets"] for name in names]
    daemon.signal(signal.SIGSTOP)
    try:
        for_as_long_as(stuck.HOLD_S + 1, lambda: daemon.running, "the stopped daemon", every=0.2)
    finally:
        daemon.signal(signal.SIGCONT)
    sessions = [lab.session(name) for name in names]
    for hand in hands:
        hand.close()
    assert [s["state"] for s in sessions] == ["Established"] * len(names)
    assert [s["resets"] for s in sessions] == before


@pytest.mark.parametrize("restart_s", [2])
def test_what_a_dead_neighbor_said_goes_when_its_time_is_over(lab, restart_s):
    """It asked to be waited for that long, and no longer (RFC 4724 4.2)."""
    hand, address = lab.hand("brief", restart_s=restart_s).connect(), lab.neighbors["brief"]["address"]
    hand.update(bgp.update(attributes=bgp.reach(bgp.EVPN, address, bgp.imet_route(bgp.rd(address, 1), address)) + flood.attributes()))
    wait_until(lambda: len(lab.received("brief")) == 1, 5, "its route")
    hand.close()
    gone = time.monotonic()
    wait_until(lambda: lab.session("brief")["state"] != "Established", 5, "it is gone")
    assert [r["stale"] for r in lab.received("brief")] == [True]
    wait_until(lambda: not lab.received("brief"), restart_s + 5, "its route is gone")
    assert restart_s - 0.1 <= time.monotonic() - gone <= restart_s + 1
    assert f"stale routes removed: not back within {restart_s} s" in lab.side("internal").daemon.log()
