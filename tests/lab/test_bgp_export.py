# SPDX-License-Identifier: Apache-2.0
"""Of whose tenants a neighbor is told: FRR of another AS, and every byte that it is sent.

    w1 r1 (red)  --+
    b1 s1 (blue) --+ dc1 -- wan -- far   FRR: takes what it gets, and keeps it
"""
import ipaddress

import pytest

from lab.fabric import Fabric
from lab.frr import Frr
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import wait_until

RED, BLUE = (5000, 5001), (0xB1AC01, 0xB1AC02)  # the tenant's VNI, and that of its network


def of_another_as(neighbor):
    return f"""
router bgp 65001
 bgp router-id 198.18.9.9
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 neighbor {neighbor} remote-as 65000
 neighbor {neighbor} ebgp-multihop 8
 neighbor {neighbor} timers connect 2
 address-family l2vpn evpn
  neighbor {neighbor} activate
 exit-address-family
"""


def own_file(lab, export):
    far = {"address": lab.peers["far"].underlay[0], "remote_as": 65001, "families": ["evpn"], "export": export}
    return lab.fabric.own_yaml("dc1", bgp={"as": 65000, "mesh": "none", "neighbors": {"far": far}})


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric(families=(4,))
    fabric.node("dc1", "dc")
    fabric.node("far", "metal", foreign=True)
    for name, (tenant, network), net in (("red", RED, 1), ("blue", BLUE, 77)):
        fabric.tenant(name, tenant)
        gateway = [f"10.{net}.1.1", f"fd{net:02x}:1::1"]
        subnets = [f"10.{net}.1.0/24", f"fd{net:02x}:1::/64"]
        fabric.network(f"{name}/lan", vni=network, subnets=subnets, gateway=gateway)
        fabric.network(f"{name}/app", "l3", subnets=[f"10.{net}.2.0/24"], gateway=[f"10.{net}.2.1"])
    fabric.port("w1", "dc1", "red/lan", ["10.1.1.11", "fd01:1::11"])
    fabric.port("r1", "dc1", "red/app", ["10.1.2.11"])
    fabric.port("b1", "dc1", "blue/lan", ["10.77.1.11", "fd4d:1::11"])
    fabric.port("s1", "dc1", "blue/app", ["10.77.2.11"])
    with Lab(fabric, {"far": KernelPeer}, start=False) as lab:
        far, dc1 = lab.peers["far"], lab.node("dc1")
        lab.frr = Frr(lab.run, far.ns, "frr-far")
        with lab.wire_tap(["dc1"], keep=lambda f: f.incoming) as lab.tap:
            dc1.daemon.write_config(own_file(lab, ["red"]))
            dc1.daemon.start()
            lab.frr.start(of_another_as(dc1.underlay[0]))
            wait_until(lambda: lab.frr.established(), 20, "the session with FRR")
            yield lab


def heard(lab):
    """What FRR has, as (type, first VNI)."""
    routes = set()
    for rd, prefixes in lab.frr.json("show bgp l2vpn evpn route").items():
        if isinstance(prefixes, dict) and ":" in rd:
            routes |= {(int(p[1]), int(rd.split(":")[1])) for p in prefixes if p.startswith("[")}
    return routes


def rds(vnis):
    """A network's distinguisher ends with the lower half of its VNI."""
    tenant, network = (v & 0xFFFF for v in vnis)
    return {(2, network), (3, network), (5, tenant)}


def needles(lab, tenant, vnis):
    """What no message may contain that says nothing of the tenant."""
    ports = [p for p in lab.fabric.config["ports"].values() if p["network"].startswith(tenant)]
    macs = [bytes.fromhex(p["mac"].replace(":", "")) for p in ports if "mac" in p]
    addresses = [ipaddress.ip_address(a).packed for p in ports for a in p["addresses"]]
    assert macs and addresses
    return macs + addresses + [v.to_bytes(3, "big") for v in vnis]


def seen_of(lab, tenant, vnis):
    return [n.hex() for n in needles(lab, tenant, vnis) if lab.tap.matching(lambda f, n=n: n in f)]


def session(lab):
    (neighbor,) = lab.node("dc1").isthmus("bgp", "neighbors", json_output=True)["items"]
    return neighbor["state"], neighbor["established"], neighbor["resets"]


def export(lab, tenants):
    """Applies it, and waits until FRR has exactly what it may have; the tap begins with it."""
    lab.tap.clear()
    lab.node("dc1").apply(own_file(lab, tenants))
    want = set().union(*(rds({"red": RED, "blue": BLUE}[t]) for t in tenants))
    wait_until(lambda: heard(lab) == want, 10, f"FRR has the routes of {tenants} and no others")
    lab.tap.settle()
    assert lab.tap.lost == 0


def test_it_is_told_of_the_tenant_that_it_may_hear_of_and_not_one_byte_of_the_other(lab):
    wait_until(lambda: heard(lab) == rds(RED), 10, "FRR has red's routes, of each type")
    lab.plug_runtime("b2", "dc1", "blue/lan", ["10.77.1.12"])
    lab.plug_runtime("w2", "dc1", "red/lan", ["10.1.1.12"])
    wait_until(lambda: "10.1.1.12" in lab.frr.ask("show bgp l2vpn evpn route"), 10, "what came meanwhile is told")
    lab.unplug("b2")
    lab.tap.settle()
    assert len(seen_of(lab, "red", RED)) > 5
    assert seen_of(lab, "blue", BLUE) == [] and lab.tap.lost == 0
    (neighbor,) = lab.node("dc1").isthmus("bgp", "neighbors", json_output=True)["items"]
    told = lab.node("dc1").isthmus("bgp", "advertised", "far", json_output=True)["items"]
    assert neighbor["prefixesSent"] == len(told) == 7
    assert not [r for r in told if set(r["labels"]) & set(BLUE)]


def test_another_grant_changes_what_it_has_within_the_session(lab):
    before = session(lab)
    red_mac = bytes.fromhex(lab.fabric.config["ports"]["w1"]["mac"].replace(":", ""))
    export(lab, ["red", "blue"])
    assert seen_of(lab, "blue", BLUE) and not lab.tap.matching(lambda f: red_mac in f), "what it had is not told again"
    export(lab, ["blue"])
    assert lab.tap.matching(lambda f: red_mac in f), "the end of red's routes"
    export(lab, ["red"])
    lab.tap.clear()
    lab.plug_runtime("b3", "dc1", "blue/lan", ["10.77.1.13"])
    lab.plug_runtime("w3", "dc1", "red/lan", ["10.1.1.13"])
    wait_until(lambda: "10.1.1.13" in lab.frr.ask("show bgp l2vpn evpn route"), 10, "red's routes go on")
    lab.tap.settle()
    assert seen_of(lab, "blue", BLUE) == [] and lab.tap.lost == 0
    assert session(lab) == before and before[0] == "Established"
