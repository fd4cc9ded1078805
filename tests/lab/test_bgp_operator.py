# SPDX-License-Identifier: Apache-2.0
"""What the command line tells of sessions that are up, and of those that are down and why.

    w1 -- dc1 -- wan -- aws1 -- w2      far: FRR of AS 65001, which takes dc1 for one of AS 65077
                  +---- far
"""
import os
import re

import pytest

from lab.fabric import Fabric, to_yaml
from lab.frr import Frr
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import wait_until

FRR = """
router bgp 65001
 bgp router-id 198.18.9.9
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 neighbor {0} remote-as 65077
 neighbor {0} ebgp-multihop 8
 neighbor {0} passive
 address-family l2vpn evpn
  neighbor {0} activate
 exit-address-family
"""


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric(families=(4,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("far", "metal", foreign=True)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"], gateway=["10.0.1.1"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12"])
    with Lab(fabric, {"far": KernelPeer}, start=False) as lab:
        far, dc1 = lab.peers["far"], lab.node("dc1")
        Frr(lab.run, far.ns, "frr-far").start(FRR.format(dc1.underlay[0]))
        key = os.path.join(os.path.dirname(dc1.daemon.config), "bgp.key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("secret\n")
        far.ns.ip("address add 198.18.3.66/32 dev lo\naddress add 198.18.3.67/32 dev lo\naddress add 198.18.3.68/32 dev lo")
        far.ns.command("iptables", "-A", "INPUT", "-d", "198.18.3.67", "-p", "tcp", "-j", "DROP", check=False)
        odd = {
            "wrong-as": {"address": far.underlay[0], "remote_as": 65001, "families": ["evpn"]},
            "refusing": {"address": lab.router("dc1", 4), "remote_as": 65010},
            "no-route": {"address": "203.0.113.7", "remote_as": 65010},
            "other-key": {"address": "198.18.3.66", "remote_as": 65001, "password_file": key},
            "no-key": {"address": "198.18.3.68", "remote_as": 65001, "password_file": "/root/bgp.key"},
            "resting": {"address": "203.0.113.9", "remote_as": 65010, "shutdown": True},
        }
        for o in odd.values():
            o["nodes"] = ["dc1"]
        for name, node in lab.nodes.items():
            node.daemon.write_config(fabric.own_yaml(name, bgp={"as": 65000, "neighbors": odd}))
            node.daemon.start()
        wait_until(lambda: states(lab)["aws1"] == "Established", 20, "the session between the nodes")
        yield lab


def neighbors(lab):
    return {n["description"]: n for n in lab.node("dc1").isthmus("bgp", "neighbors", json_output=True)["items"]}


def states(lab):
    return {name: n["state"] for name, n in neighbors(lab).items()}


def faults(lab):
    checks = lab.node("dc1").isthmus("doctor", json_output=True, check=False)["checks"]
    return {c["seen"]: c["fix"] for c in checks if c["name"] == "bgp-session" and c["state"] != "ok"}


CAUSES = {
    "wrong-as": ("do not agree on the AS: received OPEN Message Error/Bad Peer AS", "bgp.neighbors.wrong-as.remote_as"),
    "refusing": ("refuses the connection", "ss -tln"),
    "no-route": ("no route to it", "203.0.113.7"),
    "other-key": ("no answer, as when the keys differ", "compare the keys"),
    "no-key": ("its key cannot be read", "/root/bgp.key"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_doctor_says_why_a_session_is_down_and_what_to_do(lab, name):
    seen, fix = CAUSES[name]

    def found():
        return [f for s, f in faults(lab).items() if name in s and seen in s]

    wait_until(found, 20, f"the doctor finds what is wrong with {name}: {seen}")
    assert fix in found()[0]


def test_it_says_nothing_of_sessions_that_are_up_or_kept_down(lab):
    assert not [s for s in faults(lab) if "aws1" in s or "resting" in s]


def test_the_summary_is_in_the_columns_of_routers(lab):
    text = lab.node("dc1").isthmus("bgp", "summary").stdout
    blocks = dict(re.findall(r"^(\S+ \S+) Summary: router 198.18.1.11, local AS 65000\n(.*?)(?:\n\n|\Z)", text, re.M | re.S))
    assert set(blocks) == {"IPv4 Unicast", "IPv6 Unicast", "L2VPN EVPN"}

    def table(family):
        head, *rows = (line.split() for line in blocks[family].splitlines())
        assert head == "Neighbor V AS MsgRcvd MsgSent TblVer InQ OutQ Up/Down State/PfxRcd PfxSnt Desc".split()
        return {r[-1]: dict(zip(head, r)) for r in rows}

    rows, unicast = table("L2VPN EVPN"), table("IPv4 Unicast")
    up = neighbors(lab)["aws1"]
    evpn = up["families"].index("l2vpn-evpn")
    assert rows["aws1"]["State/PfxRcd"] == str(up["familiesReceived"][evpn]) == "3"
    assert rows["aws1"]["PfxSnt"] == str(up["familiesSent"][evpn]) == "3"
    assert int(rows["aws1"]["TblVer"]) >= 3 and rows["aws1"]["V"] == "4" and rows["aws1"]["AS"] == "65000"
    assert unicast["no-key"]["State/PfxRcd"] == "NoKey" and unicast["resting"]["State/PfxRcd"] == "Shutdown"
    assert "wrong-as" in rows and "wrong-as" not in unicast


def test_routes_have_the_marks_of_routers(lab):
    p = lab.node("dc1").isthmus("bgp", "routes")
    head, *rows = p.stdout.splitlines()
    assert head.split()[:2] == ["STATUS", "NETWORK"] and len(rows) == 3
    assert all(r.startswith("*>i ") for r in rows)
    assert "* valid, > best, = multipath, i internal" in p.stderr
    assert {r["status"] for r in lab.node("dc1").isthmus("bgp", "advertised", "aws1", json_output=True)["items"]} == {"*>"}


def test_the_status_counts_sessions(lab):
    text = lab.node("dc1").isthmus("status", check=False).stdout
    assert re.search(r"^BGP: +sessions 1 of 7 established \(isthmus bgp neighbors says why\)$", text, re.M)
    status = lab.node("aws1").isthmus("status", json_output=True, check=False)
    assert (status["bgpSessions"], status["bgpEstablished"]) == (1, 1)


def test_metrics_of_each_neighbor(lab):
    _, text = lab.node("dc1").request("GET", "/metrics")
    address = lab.node("aws1").underlay[0]

    def value(metric, name="aws1", more=""):
        return float(re.search(rf'^{metric}{{neighbor="[^"]+",name="{name}"{more}}} (\S+)$', text, re.M)[1])

    assert f'isthmus_bgp_neighbor_up{{neighbor="{address}",name="aws1"}} 1' in text
    assert value("isthmus_bgp_neighbor_up", "refusing") == 0 and value("isthmus_bgp_neighbor_up", "resting") == -1
    assert value("isthmus_bgp_neighbor_routes_received", more=',family="l2vpn-evpn"') == 3
    assert value("isthmus_bgp_neighbor_routes_sent", more=',family="l2vpn-evpn"') == 3
    assert value("isthmus_bgp_neighbor_messages_total", more=',type="OPEN",direction="sent"') >= 1
    assert value("isthmus_bgp_neighbor_last_error_timestamp_seconds", "refusing") > 1e9


def test_without_bgp_it_says_what_to_add(lab):
    node = lab.node("aws1")
    config = {**lab.fabric.config, "ports": {}}
    config.pop("bgp", None)
    node.apply(to_yaml({**config, "nodes": {"aws1": config["nodes"]["aws1"]}}))
    for argv in (("summary",), ("neighbors",), ("routes",), ("why", "10.0.1.11")):
        p = node.isthmus("bgp", *argv)
        assert p.stdout == "" and 'this node has no BGP: add "bgp: {as: 65000}"' in p.stderr, argv
    p = node.isthmus("bgp", "received", "dc1", check=False)
    assert p.returncode == 2 and "this node has no BGP" in p.stderr and "isthmus explain bgp" in p.stderr
    assert "BGP:" not in node.isthmus("status", check=False).stdout
