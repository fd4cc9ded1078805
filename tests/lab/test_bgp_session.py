# SPDX-License-Identifier: Apache-2.0
"""Sessions between two nodes: keys, distance, strangers, what `apply` changes of them, and what the command line says."""
import contextlib
import os
import socket

import pytest
from helpers import ping_all

from lab.fabric import Fabric
from lab.room import Lab
from lab.run import wait_until

HERE, THERE = "dc1", "aws1"


def make_fabric():
    fabric = Fabric(families=(4,))
    fabric.node(HERE, "dc")
    fabric.node(THERE, "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"], gateway=["10.0.1.1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24"], gateway=["10.0.2.1"])
    fabric.port("w1", HERE, "red/web", ["10.0.1.11"])
    fabric.port("w2", THERE, "red/web", ["10.0.1.12"])
    fabric.port("r2", THERE, "red/app", ["10.0.2.12"])
    return fabric


def own_file(fabric, node, bgp):
    """Neighbors are no nodes of the file."""
    return fabric.own_yaml(node, alone="neighbors" in (bgp or {}), **({"bgp": bgp} if bgp else {}))


def apply(lab, node, bgp):
    daemon = lab.node(node).daemon
    path = os.path.join(os.path.dirname(daemon.config), "next.yaml")
    with open(path, "w") as f:
        f.write(own_file(lab.fabric, node, bgp))
    return lab.node(node).isthmus("apply", path)


def key_file(lab, node, text):
    """In the configuration's directory, as nothing else can be read from within the sandbox."""
    path = os.path.join(os.path.dirname(lab.node(node).daemon.config), "bgp.key")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    return path


def session(lab, node=HERE):
    (neighbor,) = lab.node(node).isthmus("bgp", "neighbors", json_output=True)["items"]
    return neighbor


def is_up(lab):
    return session(lab)["state"] == "Established" == session(lab, THERE)["state"]


def wait_up(lab, timeout=20):
    wait_until(lambda: is_up(lab), timeout, "the session is up")


PLAIN = {"as": 65000}


@pytest.fixture(scope="module")
def lab():
    with Lab(make_fabric(), start=False) as lab:
        lab.start(file_of=lambda node: own_file(lab.fabric, node, PLAIN))
        wait_up(lab)
        yield lab


@pytest.fixture(autouse=True)
def as_before(lab):
    yield
    for node in (HERE, THERE):
        apply(lab, node, PLAIN)
    wait_up(lab)


def reaches(lab):
    return not ping_all([(lab.host("w1"), a) for a in ("10.0.1.12", "10.0.2.12")])


def test_it_comes_and_goes_with_the_configuration(lab):
    wait_until(lambda: reaches(lab), 10, "what is there is reached")
    apply(lab, HERE, None)
    assert lab.node(HERE).isthmus("bgp", "neighbors", json_output=True)["items"] == []
    assert "10.0.1.12" not in str(lab.node(HERE).get("hosts"))
    assert not lab.host("w1").ping("10.0.1.12", check=False, timeout=1)
    apply(lab, HERE, PLAIN)
    wait_up(lab)
    wait_until(lambda: reaches(lab), 10, "what is there is reached")


def test_another_change_leaves_the_session_alone(lab):
    before = session(lab)
    lab.fabric.network("red/more", "l3", subnets=["10.0.3.0/24"])
    apply(lab, HERE, PLAIN)
    apply(lab, THERE, PLAIN)
    after = session(lab)
    assert (after["state"], after["established"], after["resets"]) == ("Established", before["established"], before["resets"])


@pytest.mark.parametrize("there", ["another\n", None], ids=["wrong", "missing"])
def test_without_the_right_key_there_is_no_session(lab, there):
    apply(lab, HERE, {**PLAIN, "password_file": key_file(lab, HERE, "secret\n")})
    apply(lab, THERE, {**PLAIN, "password_file": key_file(lab, THERE, there)} if there else PLAIN)
    lab.node(HERE).isthmus("bgp", "reset", THERE)
    wait_until(lambda: session(lab)["state"] != "Established", 10, "the session is down")
    held = session(lab)["established"]
    with pytest.raises(Exception):
        wait_up(lab, 3)
    assert session(lab)["established"] == held and session(lab)["password"]


def test_with_the_same_key_there_is_one_and_it_may_change(lab):
    for key in ("first\n", "second\n"):
        for node in (HERE, THERE):
            apply(lab, node, {**PLAIN, "password_file": key_file(lab, node, key)})
        wait_up(lab)
    flaps = session(lab)["resets"]
    lab.node(HERE).isthmus("bgp", "refresh", THERE)
    wait_up(lab)
    assert session(lab)["resets"] <= flaps + 1 and reaches(lab)


def test_a_key_that_cannot_be_read_keeps_the_session_down_and_says_so(lab):
    apply(lab, HERE, {**PLAIN, "password_file": "/root/bgp.key"})
    assert session(lab)["state"] == "NoKey"
    wait_until(lambda: THERE in lab.node(HERE).isthmus("status", check=False).stdout, 5, "the status names it")
    assert "there is no session without its key" in lab.node(HERE).daemon.log()


def neighbor_with(lab, node, **keys):
    other = THERE if node == HERE else HERE
    address = lab.node(other).underlay[0]
    return {**PLAIN, "mesh": "none", "neighbors": {"far": {"address": address, "remote_as": 65000, **keys}}}


def test_who_is_farther_than_allowed_is_not_heard(lab):
    """The lab has routers between the sites: more than one hop, fewer than eight."""
    for node in (HERE, THERE):
        apply(lab, node, neighbor_with(lab, node, **{"ttl_security": 8}))
    wait_up(lab)
    for node in (HERE, THERE):
        apply(lab, node, neighbor_with(lab, node, **{"ttl_security": 1}))
    lab.node(HERE).isthmus("bgp", "reset", "far")
    wait_until(lambda: session(lab)["state"] != "Established", 10, "the session is down")
    with pytest.raises(Exception):
        wait_up(lab, 3)


def test_a_thousand_idle_connections_disturb_nobody(lab):
    """Row B11: from a stranger and from the neighbor's own address."""
    before = session(lab)
    address = lab.node(HERE).underlay[0]
    with contextlib.ExitStack() as stack:
        for i in range(1000):
            s = stack.enter_context(lab.node(THERE).ns.socket(socket.AF_INET, socket.SOCK_STREAM))
            s.setblocking(False)
            s.connect_ex((address, 179))
        lab.node(HERE).isthmus("bgp", "refresh", THERE)
        assert reaches(lab)
        after = session(lab)
        assert (after["state"], after["resets"]) == ("Established", before["resets"])


def test_the_command_line_tells_who_says_what(lab):
    node = lab.node(HERE)
    wait_until(lambda: reaches(lab), 10, "what is there is reached")
    host = next(h for h in node.get("hosts") if h["address"] == "10.0.1.12")
    assert host["node"] == THERE and host["source"] == f"bgp {lab.node(THERE).underlay[0]}" and host["port"] == ""
    route = next(r for r in node.get("routes") if r["prefix"] == "10.0.2.12/32")
    assert (route["node"], route["vtep"], route["vni"]) == (THERE, lab.node(THERE).underlay[0], 5000)
    assert any(m["mac"] == lab.host("w2").mac and m["node"] == THERE for m in node.get("macs"))
    received = node.isthmus("bgp", "received", THERE, json_output=True)["items"]
    assert {r["import"] for r in received} == {"accepted"} and len(received) >= 3
    told = lab.node(THERE).isthmus("bgp", "advertised", HERE, json_output=True)["items"]
    assert sorted(r["name"] for r in told) == sorted(r["name"] for r in received)
    (why,) = node.isthmus("bgp", "why", "red/10.0.2.12", json_output=True)["items"]
    assert (why["best"], why["source"], why["from"]) == (True, "bgp", lab.node(THERE).underlay[0])
    (own,) = node.isthmus("bgp", "why", "10.0.1.11", json_output=True)["items"]
    assert (own["best"], own["source"], own["from"]) == (True, "local", "w1")
