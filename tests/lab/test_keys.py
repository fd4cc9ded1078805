# SPDX-License-Identifier: Apache-2.0
"""Encryption as an operator begins with it: keys first, then under traffic, and what becomes of it without the daemon.

    dc1: web1 --.                  .-- aws1: web2        between the sites encrypted
    dc2: web3 --+-- dc === wan === aws                   within dc in clear text
"""
import base64
import contextlib
import json
import os
import pathlib
import re

import jsonschema
import pytest
from secured import VXLAN, WIREGUARD, tunnel

from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = 1 << 39 | 1 << 12 | 1 << 10  # CAP_BPF, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE


def make_fabric(family):
    f = Fabric(families=(family,))
    for node, site in (("dc1", "dc"), ("dc2", "dc"), ("aws1", "aws")):
        f.node(node, site)
    f.tenant("red", 5000)
    f.network("red/web", subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"], vni=5001)
    f.port("web1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    f.port("web2", "aws1", "red/web", ["10.0.1.12", "fd00:1::12"])
    f.port("web3", "dc2", "red/web", ["10.0.1.13", "fd00:1::13"])
    return f


def goes_to(port, site=None):
    """Is it a packet of the underlay to this UDP port (and to this address)?"""

    def test(frame):
        p = packet.l3(frame)
        return bool(p) and p[3] == 17 and int.from_bytes(p[4][2:4], "big") == port and site in (None, p[2])

    return test


def give_keys(lab):
    config = lab.fabric.config
    for name, node in lab.nodes.items():
        config["nodes"][name]["public_key"] = node.isthmus("key", "show").stdout.strip()
    lab.apply()


def wait_sessions(lab, *pairs):
    for a, b in pairs:
        wait_until(lambda a=a, b=b: tunnel(lab.node(a), b)["state"] == "up", 10, f"a tunnel from {a} to {b}")


def far_address(lab):
    return lab.fabric.config["nodes"]["aws1"]["underlay"][0]


@pytest.fixture(params=[4, 6], ids=["underlay4", "underlay6"])
def lab(request):
    with Lab(make_fabric(request.param)) as made:
        yield made


def test_from_keys_to_encryption_under_traffic_and_back(lab):
    web1, web2, web3 = (lab.host(h) for h in ("web1", "web2", "web3"))
    in_clear, encrypted = goes_to(VXLAN, far_address(lab)), goes_to(WIREGUARD, far_address(lab))
    web1.ping("10.0.1.12")
    give_keys(lab)
    wait_sessions(lab, ("dc1", "aws1"), ("aws1", "dc1"), ("dc2", "dc1"))
    streams = [UdpStream(web1, web2, rate=500), UdpStream(web2, web1, rate=500), UdpStream(web1, web3, rate=500)]
    for s in streams:
        s.wait_flowing()
    with lab.wire_tap(["dc1"], incoming_only=True) as tap:
        tap.wait(in_clear, what="clear text, as it was never asked for")
        lab.fabric.config["fabric"]["encryption"] = "between-sites"
        lab.apply()  # on one node after the other
        for s in streams:
            s.wait_flowing()
        tap.clear()
        for s in streams:
            s.wait_flowing(300)
        assert tap.matching(encrypted) and not tap.matching(in_clear)
        assert tap.matching(goes_to(VXLAN)), "within the site it stays as it was"
        lab.fabric.config["fabric"]["encryption"] = "never"
        lab.apply()
        for s in streams:
            s.wait_flowing(300)
    for s in streams:
        report = s.stop()
        assert report["lost"] == 0 and report["duplicates"] == 0, report


def not_encrypted(node):
    """Also with the daemon dead, when the command line says so by its exit status."""
    return json.loads(node.isthmus("get", "drops", "not_encrypted", "-o", "json", check=False).stdout)["packets"]


def test_without_the_daemon_nothing_passes_that_is_to_be_encrypted(lab):
    web1, web3 = lab.host("web1"), lab.host("web3")
    lab.fabric.config["fabric"]["encryption"] = "between-sites"
    give_keys(lab)
    wait_sessions(lab, ("dc1", "aws1"), ("aws1", "dc1"))
    web1.ping("10.0.1.12")
    web1.ping("fd00:1::12")
    dc1 = lab.node("dc1")
    with lab.wire_tap(["dc1"], incoming_only=True) as tap:
        dc1.daemon.kill9()
        before = not_encrypted(dc1)
        assert not web1.ping("10.0.1.12", count=20, timeout=1, check=False)
        web1.ping("10.0.1.13")  # within the site nobody is missed
        assert not_encrypted(dc1) >= before + 20
        assert dc1.isthmus("get", "tunnels", check=False).returncode == 3
        dc1.daemon.start()
        wait_until(lambda: web1.ping("10.0.1.12", check=False, timeout=1), 10, "an answer through a new session")
        assert tap.matching(goes_to(WIREGUARD)) and not tap.matching(goes_to(VXLAN, far_address(lab)))
    web3.ping("10.0.1.12")
    dc1.wait_up()


def test_tunnels_are_shown(lab):
    lab.fabric.config["fabric"]["encryption"] = "always"
    give_keys(lab)
    dc1 = lab.node("dc1")
    wait_sessions(lab, ("dc1", "aws1"), ("dc1", "dc2"))
    dc1.wait_up()
    for _ in range(5):  # of several at once, ping waits for the last no longer than for two others
        lab.host("web1").ping("10.0.1.12")
    seen = tunnel(dc1, "aws1")
    schema = json.loads((ROOT / "doc" / "schema" / "Tunnel.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(seen)
    assert set(seen) == set(schema["properties"])
    v6 = ":" in far_address(lab)
    assert seen["endpoint"] == (f"[{far_address(lab)}]:51820" if v6 else f"{far_address(lab)}:51820")
    assert seen["mtu"] == (1338 if v6 else 1390) and seen["rxPackets"] >= 5 and seen["txPackets"] >= 5
    assert seen["handshakes"] >= 1 and seen["lastHandshakeSeconds"] < 60 and seen["drops"] == 0
    ledger = dc1.isthmus("describe", "node", "aws1", json_output=True)["ledger"]
    assert ledger["path"] == ledger["configured"] == 1500 and ledger["measured"] is None and ledger["inner"] == seen["mtu"]
    assert ledger["path"] - sum(v for k, v in ledger.items() if k not in ("configured", "measured", "path", "inner")) == ledger["inner"]
    assert dc1.metrics()['isthmus_tunnel_up{node="aws1"}'] == 1
    assert dc1.isthmus("status", json_output=True)["tunnels"] == 2
    drops = {d["name"]: d for d in dc1.get("drops")}
    assert drops["tunnel_replayed"]["packets"] == 0 and drops["tunnel_no_peer"]["meaning"]
    assert dc1.isthmus("get", "drops", "tunnel_forged", json_output=True)["packets"] == 0
    assert len(dc1.isthmus("get", "drops", "-o", "jsonl").stdout.splitlines()) == len(drops)
    private = open(f"{dc1.daemon.state_dir}/private.key").read().strip()
    assert len(private) == 44
    for text in (dc1.daemon.log(), dc1.isthmus("get", "all", "-o", "yaml").stdout, dc1.request("GET", "/metrics")[1],
                 dc1.isthmus("get", "tunnels", "-o", "json").stdout):
        assert private not in text


def test_what_encrypts_is_in_the_box(lab):
    lab.fabric.config["fabric"]["encryption"] = "always"
    give_keys(lab)
    wait_sessions(lab, ("dc1", "aws1"))
    dc1 = lab.node("dc1")
    pid = dc1.isthmus("status", json_output=True)["pid"]
    tasks = os.listdir(f"/proc/{pid}/task")
    assert len(tasks) >= 3  # the control loop, a worker, and who owns the protocol
    for task in tasks:
        with open(f"/proc/{pid}/task/{task}/status") as f:
            status = dict(re.findall(r"^(\w+):\s*(\S+)", f.read(), re.M))
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == KEPT
    assert "sandbox" not in dc1.daemon.log()


def mappings(pid):
    """(flags of the kernel's, bytes) of each piece of memory that a process can write to."""
    with open(f"/proc/{pid}/smaps") as f, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        first = last = mode = None
        for line in f:
            if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line):
                first, last, mode = int(m[1], 16), int(m[2], 16), m[3]
            elif line.startswith("VmFlags:") and mode.startswith("rw"):
                memory.seek(first)
                with contextlib.suppress(OSError):  # of a device
                    yield line.split()[1:], memory.read(last - first)


def test_the_private_key_is_in_locked_memory_alone(lab):
    """E7, of the whole daemon: also not as the text that the file has."""
    dc1 = lab.node("dc1")
    lab.fabric.config["fabric"]["encryption"] = "between-sites"
    give_keys(lab)
    wait_sessions(lab, ("dc1", "aws1"))
    with open(f"{dc1.daemon.state_dir}/private.key") as f:
        text = f.read().strip()
    raw = base64.b64decode(text)[1:31]  # X25519 fixes bits of the first and the last byte
    found = [(flags, raw in data) for flags, data in mappings(dc1.isthmus("status", json_output=True)["pid"])
             if raw in data or text.encode()[:40] in data]
    assert found, "it is somewhere, or the search is none"
    for flags, is_raw in found:
        assert is_raw and "lo" in flags and "dd" in flags  # locked, and left out of core dumps


NAT = """table ip nat {
    chain out { type nat hook postrouting priority 100; ip saddr 198.18.2.0/24 ip daddr 198.18.1.0/24 masquerade; }
    chain through { type filter hook forward priority 0; ct state new ip daddr 198.18.2.0/24 drop; }
}"""


def test_a_node_behind_a_nat_calls_and_is_found():
    fabric = make_fabric(4)
    fabric.config["fabric"]["encryption"] = "between-sites"
    with Lab(fabric, start=False) as lab:
        lab.wan.command("nft", "-f", "-", input=NAT)
        fabric.config["nodes"]["aws1"]["nat"] = True
        lab.start(wait_up=False)
        give_keys(lab)
        wait_sessions(lab, ("dc1", "aws1"), ("dc2", "aws1"))
        endpoint = tunnel(lab.node("dc1"), "aws1")["endpoint"]
        assert endpoint.startswith("198.18.1.254:"), "where its packets come from: the router's own address"
        lab.host("web1").ping("10.0.1.12")
        lab.host("web2").ping("fd00:1::13")
