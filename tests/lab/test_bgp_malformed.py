# SPDX-License-Identifier: Apache-2.0
"""Rows B1 and B2: malformed messages on real sessions of a running daemon.

What is sent, and what has to come of it, is printed by the unit tests of the decoders: one table for both.  Each row has
a route of its own, so that one look at what the daemon has from the neighbor judges all of them.
"""
import collections
import functools
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak.hands import SIDES, HandLab  # noqa: E402

from lab import hand as bgp  # noqa: E402
from lab import packet  # noqa: E402
from lab.exabgp import Exabgp, neighbor  # noqa: E402
from lab.node import build_directory  # noqa: E402
from lab.run import wait_until  # noqa: E402

Row = collections.namedtuple("Row", "name base kind reaction subcode body")
RD_OF_ROWS = bytes.fromhex("0001c00002010005")
WITHDRAW, RESET = "treated as withdrawn", "session reset"


def printed_by(test):
    path = os.path.join(build_directory(), "tests", "unit", test)
    out = subprocess.run([path, "rows"], check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in out.splitlines()]


@functools.cache
def attribute_rows(kind):
    found = (Row(n, b, k, r, int(s), bytes.fromhex(body)) for n, b, k, r, s, body in printed_by("test_bgp_malformed"))
    return [r for r in found if r.kind == kind]


def resets(kind):
    return [r for r in attribute_rows(kind) if r.reaction == RESET]


def rd_of(number):
    return RD_OF_ROWS[:6] + number.to_bytes(2, "big")


def own_route(row, number):
    """The row's message about a route that no other row has."""
    if row.base == "evpn":
        return row.body.replace(RD_OF_ROWS, rd_of(number))
    return row.body[:-1] + bytes([number])  # 10.1.number.0/24


def name_of(route):
    return int(route["rd"].split(":")[-1]) if route["rd"] else route["name"]


def own_name(row, number):
    return number if row.base == "evpn" else f"10.1.{number}.0/24"


@pytest.fixture(scope="module")
def lab():
    names = ["plain", "exabgp", "evpn", *(f"reset{i}" for i in range(max(len(resets(k)) for k in SIDES)))]
    with HandLab({name: {} for name in names}) as lab:
        yield lab


def send_and_look(lab, hand, kind, bodies, good, number):
    """Sends these and a good route behind them; returns all that the daemon has when it has that one, without it."""
    for body in bodies:
        hand.update(body)
    hand.update(good.body[:-4] + bytes([24, 10, 9, number]))
    last = f"10.9.{number}.0/24"

    def look():
        found = {name_of(r) for r in lab.received("plain", kind)}
        return found if last in found else None

    found = wait_until(look, 10, "the route that was sent last")
    hand.update(bgp.update(withdrawn=bytes([24, 10, 9, number])))
    return found - {last}


@pytest.mark.parametrize("kind", SIDES)
def test_malformed_attributes_without_a_reset(lab, kind):
    rows = attribute_rows(kind)
    good = {r.base: r for r in rows if r.name == "good"}
    rows = [r for r in rows if r.name != "good" and r.reaction != RESET]
    assert len(rows) >= 88
    hand = lab.hand("plain", kind).connect()
    withdrawn = {own_name(r, i) for i, r in enumerate(rows) if r.reaction == WITHDRAW}
    kept = {own_name(r, i) for i, r in enumerate(rows)} - withdrawn
    before = [own_route(good[r.base], i) for i, r in enumerate(rows) if r.reaction == WITHDRAW]
    assert send_and_look(lab, hand, kind, before, good["ipv4"], 1) == withdrawn
    assert send_and_look(lab, hand, kind, [own_route(r, i) for i, r in enumerate(rows)], good["ipv4"], 2) == kept
    session = lab.session("plain", kind)
    assert (session["state"], session["established"], session["resets"]) == ("Established", 1, 0)
    assert session["withdrawnForError"] == len(withdrawn) and session["attributesDiscarded"] > 0


@pytest.mark.parametrize("kind", SIDES)
def test_malformed_attributes_that_lose_the_framing(lab, kind):
    """The exact NOTIFICATION, and nobody else notices: each has a neighbor of its own."""
    assert len(resets(kind)) >= 20
    before = lab.session("plain", kind)["resets"]
    hands = [lab.hand(f"reset{i}", kind).connect() for i in range(len(resets(kind)))]
    for hand, row in zip(hands, resets(kind)):
        hand.update(row.body)
    for hand, row in zip(hands, resets(kind)):
        code, subcode, _ = hand.wait_notification()
        assert (row.name, code, subcode) == (row.name, 3, row.subcode or subcode)
    assert lab.session("plain", kind)["resets"] == before


def whole_attributes(data):
    """(kind, flags, value) of each, when that is all that the bytes are; else None."""
    found = []
    while len(data) >= 3 and not data[0] & 0x10 and len(data) >= 3 + data[2]:
        found.append((data[1], data[0], data[3 : 3 + data[2]]))
        data = data[3 + data[2] :]
    return None if data else found


def what_exabgp_can_send(kind):
    """Rows with one attribute, with a value, beside those that ExaBGP writes itself."""
    rows = attribute_rows(kind)
    good = {r.base: r for r in rows if r.name == "good"}
    for r in rows:
        if r.base == "ipv4" and r.reaction != RESET and r.body[4:].startswith(good["ipv4"].body[4:-4]):
            own = whole_attributes(r.body[len(good["ipv4"].body) - 4 : -4])
            if own and len(own) == 1 and own[0][2] and own[0][0] not in (1, 2, 3, 5, 14, 15):
                yield r, own


@pytest.mark.parametrize("kind", SIDES)
def test_malformed_attributes_of_exabgp(lab, kind):
    """The same table from the hand of another implementation."""
    rows = list(what_exabgp_can_send(kind))
    assert len(rows) >= 40
    _, asn, hands_as = SIDES[kind]
    address = lab.neighbors["exabgp"]["address"]
    routes = [(f"10.2.{i}.0/24", "192.0.2.1", own) for i, (_, own) in enumerate(rows)]
    exabgp = Exabgp(lab.run, lab.hub, f"exabgp-{kind}")
    exabgp.start(neighbor(lab.side(kind).underlay[0], address, asn, hands_as, [*routes, ("10.9.9.0/24", "192.0.2.1", [])]))
    kept = {f"10.2.{i}.0/24" for i, (r, _) in enumerate(rows) if r.reaction != WITHDRAW} | {"10.9.9.0/24"}
    n_refused = len(rows) + 1 - len(kept)
    wait_until(lambda: lab.session("exabgp", kind)["withdrawnForError"] == n_refused, 20, "what is not sound is seen")
    wait_until(lambda: {r["name"] for r in lab.received("exabgp", kind)} == kept, 5, "what is sound, and nothing else")
    session = lab.session("exabgp", kind)
    assert (session["state"], session["resets"], session["withdrawnForError"]) == ("Established", 0, n_refused)
    exabgp.stop()


def evpn_update(routes, withdraw):
    if withdraw:
        return bgp.update(attributes=bgp.unreach(bgp.EVPN, routes))
    attributes = bgp.ORIGIN + bgp.as_path() + bgp.local_pref() + bgp.communities(bgp.route_target(65000, 5001))
    return bgp.update(attributes=bgp.reach(bgp.EVPN, "192.0.2.1", routes) + attributes)


def test_malformed_evpn_routes_between_good_ones(lab):
    """Each between two good ones of its own route distinguisher, announced and withdrawn."""
    rows = printed_by("test_bgp_evpn")
    assert len(rows) >= 2000
    hand, out, expected = lab.hand("evpn", families=(bgp.EVPN,)).connect(), [], {}
    for i, (way, verdict, route) in enumerate(rows):
        route = bytes.fromhex(route)
        if len(route) >= 10:
            route = route[:2] + rd_of(i) + route[10:]
        before = bgp.imet_route(rd_of(i), "192.0.2.1")
        after = bgp.mac_route(rd_of(i), packet.mac("02:00:00:00:00:0a"), 5001)
        if way == "withdrawn":
            out.append(evpn_update(before + after, False))
        else:
            expected[i] = 3 if verdict == "good" else 2
        out.append(evpn_update(before + route + after, way == "withdrawn"))
    last = len(rows)
    expected[last] = 1
    out.append(evpn_update(bgp.imet_route(rd_of(last), "192.0.2.1"), False))
    hand.send(b"".join(bgp.message(bgp.UPDATE, body) for body in out))
    wait_until(lambda: lab.session("evpn")["prefixesReceived"] == sum(expected.values()), 20, "as many routes as expected")
    assert collections.Counter(name_of(r) for r in lab.received("evpn")) == expected
    session = lab.session("evpn")
    assert (session["state"], session["resets"]) == ("Established", 0)
    hand.close()
