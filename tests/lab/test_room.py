# SPDX-License-Identifier: Apache-2.0
"""The lab itself: it must remove everything whatever happens, and its instruments must notice what they are there to
notice.

    web1 -- dc1 (Linux) -- wan -- aws1 (Linux or Open vSwitch) -- web2, tap1
"""
import json
import os
import signal
import subprocess
import sys

import pytest

from lab import packet
from lab.fabric import Fabric, to_yaml
from lab.host import TcpFlows, UdpStream
from lab.peer import KernelPeer, OvsPeer
from lab.room import Lab
from lab.run import RECORDS, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def two_kernels(family=4):
    fabric = Fabric(families=(family,))
    for name, site in (("dc1", "dc"), ("aws1", "aws")):
        fabric.node(name, site, foreign=True)
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"])
    fabric.port("web1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    fabric.port("web2", "aws1", "red/web", ["10.0.1.12", "fd00:1::12"])
    fabric.port("tap1", "aws1", "red/web", ["10.0.1.13", "fd00:1::13"], rig={"kind": "tap"})
    return fabric


@pytest.fixture(scope="module")
def lab():
    with Lab(two_kernels(), peers={"dc1": KernelPeer, "aws1": KernelPeer}) as lab:
        dc1, aws1 = lab.peers["dc1"], lab.peers["aws1"]
        dc1.join(5001, ["web1"], dc1.underlay[0], aws1.underlay, learning=True)
        aws1.join(5001, ["web2", "tap1"], aws1.underlay[0], dc1.underlay, learning=True)
        wait_until(lambda: lab.host("web1").ping("10.0.1.12", check=False, timeout=1))
        yield lab


def test_hosts_talk_over_the_wan(lab):
    for target in ("10.0.1.12", "fd00:1::12", "10.0.1.13", "fd00:1::13"):
        assert lab.host("web1").ping(target, count=3)


def test_arping_shows_the_mac_that_answers(lab):
    assert lab.host("web1").arping("10.0.1.12") == [lab.host("web2").mac]
    assert lab.host("web1").arping("fd00:1::13") == [lab.host("tap1").mac]
    assert lab.host("web1").arping("10.0.1.99", timeout=0.2) == []


def test_streams_lose_nothing_on_a_whole_wire(lab):
    streams = [UdpStream(lab.host("web1"), lab.host("web2")), UdpStream(lab.host("web2"), lab.host("web1"), v6=True)]
    flows = TcpFlows(lab.host("web1"), lab.host("web2"), 20)
    for s in streams:
        s.wait_flowing(500)
    flows.wait_flowing()
    for s in streams:
        r = s.stop()
        assert r["sent"] >= 500 and r["lost"] == 0 and r["duplicates"] == 0
    r = flows.stop()
    assert r["alive"] == 20 and not r["errors"]


def test_streams_notice_a_cut_wire(lab):
    stream = UdpStream(lab.host("web1"), lab.host("web2"))
    flows = TcpFlows(lab.host("web1"), lab.host("web2"), 3)
    stream.wait_flowing()
    lab.wan.ip("link set w-aws1 down")
    sent = stream.sent()
    wait_until(lambda: stream.sent() > sent + 300)
    lab.wan.ip("link set w-aws1 up")
    stream.wait_flowing()
    flows.wait_flowing()
    r, t = stream.stop(), flows.stop()
    assert r["lost"] >= 200 and r["longest_gap_ms"] >= 200
    assert t["longest_stall_ms"] >= 200 and t["retransmits"] > 0


def test_stream_notices_duplicates(lab):
    """A packet of the stream sent again by hand is counted as a duplicate, not as received."""
    a, b = lab.host("web1"), lab.host("web2")
    stream = UdpStream(a, b, rate=200)
    with a.tap() as tap:
        frame = tap.wait(lambda f: (p := packet.l3(f)) and p[3] == 17 and p[4][2:4] == (7000).to_bytes(2, "big"))[
            0
        ].data
    # Built anew: the captured one has an unfinished checksum.
    frame = packet.udp_frame(a.mac, b.mac, a.ip4, b.ip4, 1, 7000, packet.l3(frame)[4][8:])
    a.send(frame, frame)
    stream.wait_flowing(20)
    r = stream.stop()
    assert r["lost"] == 0 and r["duplicates"] == 2


def test_tap_keeps_a_pcap_that_tcpdump_reads(lab, tmp_path):
    with lab.wire_tap(["dc1"]) as tap:
        lab.host("web1").ping("10.0.1.12")
        tap.wait(lambda f: packet.inner_of(f) is not None, 2)
        tap.write_pcap(tmp_path / "wire.pcap")
    text = subprocess.run(["tcpdump", "-nr", tmp_path / "wire.pcap"], capture_output=True, text=True).stdout
    assert "VXLAN" in text and "vni 5001" in text


def test_frames_are_what_the_kernel_understands(lab):
    """Our own builders against a real stack: UDP and ICMP by hand, v4 and v6, whole and in fragments, are answered."""
    a, b = lab.host("web1"), lab.host("web2")
    with a.tap(incoming_only=True) as tap:
        for src, dst in ((a.ip4, b.ip4), (a.ip6, b.ip6)):
            if packet.is_v6(dst):
                echo = packet.ipv6(src, dst, 58, packet.icmp6(src, dst, 128, 0, 7, b"x" * 100))
            else:
                echo = packet.ipv4(src, dst, 1, packet.icmp(8, 0, 7, b"x" * 100))
            protocol, kind = (58, 129) if packet.is_v6(dst) else (1, 0)
            for frames in ([echo], packet.fragments(echo, 48)):
                tap.clear()
                a.send(*(packet.eth_ip(b.mac, a.mac, p) for p in frames))
                tap.wait(
                    lambda f: (p := packet.l3(f)) and p[3] == protocol and p[4][0] == kind and p[4].endswith(b"x" * 100)
                )
            tap.clear()
            a.send(packet.udp_frame(a.mac, b.mac, src, dst, 1, 9, b"closed port"))
            tap.wait(lambda f: (p := packet.l3(f)) and p[3] == protocol and b"closed port" in p[4])


@pytest.mark.parametrize("family", [4, 6])
def test_peers_understand_each_other(family):
    """Over an IPv4 underlay Linux and Open vSwitch, over IPv6 two Linuxes with checksum 0: both flood and learn."""
    fabric, mtu = two_kernels(family), 1450 if family == 4 else 1430
    for rig in fabric.rigs.values():
        rig.mtu = mtu
    with Lab(fabric, peers={"dc1": KernelPeer, "aws1": OvsPeer if family == 4 else KernelPeer}) as lab:
        dc1, aws1 = lab.peers["dc1"], lab.peers["aws1"]
        dc1.join(5001, ["web1"], dc1.underlay[0], aws1.underlay, learning=True, mtu=mtu)
        options = {} if family == 4 else {"learning": True, "mtu": mtu}
        aws1.join(5001, ["web2", "tap1"], aws1.underlay[0], dc1.underlay, **options)
        wait_until(lambda: lab.host("web1").ping("10.0.1.12", check=False, timeout=1))
        assert lab.host("web2").ping("fd00:1::11") and lab.host("web1").ping("10.0.1.13")
        assert lab.host("web1").tcp_to(lab.host("web2"), 1 << 20) == 1 << 20


def test_yaml_is_what_a_parser_reads_back():
    import yaml

    config = two_kernels().config
    config["tenants"]["red"]["networks"]["yes"] = {"mode": "l2", "flood": True, "vni": 7}
    assert yaml.safe_load(to_yaml(config)) == config


SCRIPT = """
import sys
sys.path.insert(0, {top!r}); sys.path.insert(0, {here!r})
import test_room
from lab.room import Lab
from lab.peer import KernelPeer
with Lab(test_room.two_kernels(), peers={{"dc1": KernelPeer, "aws1": KernelPeer}}) as lab:
    lab.host("web1").talker
    print(lab.run.prefix, lab.run.directory, flush=True)
    {action}
    sys.stdin.readline()
"""


def start_a_lab(action="pass"):
    p = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(top=TOP, here=os.path.dirname(__file__), action=action)],
        stdin=-1,
        stdout=-1,
        stderr=-1,
        text=True,
    )
    prefix, directory = p.stdout.readline().split()
    return p, prefix, directory


def traces(prefix, directory):
    processes = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                processes += [pid] if prefix in f.read() else []
        except OSError:
            pass
    return (
        [n for n in os.listdir("/run/netns") if n.startswith(prefix)]
        + [d for d in (directory,) if os.path.exists(d)]
        + [r for r in os.listdir(RECORDS) if r.startswith(prefix)]
        + processes
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lab_that_is_interrupted_leaves_nothing(number):
    p, prefix, directory = start_a_lab()
    assert traces(prefix, directory)
    p.send_signal(number)
    p.communicate(timeout=20)
    assert traces(prefix, directory) == []


def test_a_lab_that_fails_leaves_nothing():
    p, prefix, directory = start_a_lab("raise ValueError('on purpose')")
    assert "on purpose" in p.communicate(timeout=20)[1]
    assert traces(prefix, directory) == []


def test_what_a_killed_lab_left_is_cleaned_and_living_labs_are_not(lab):
    p, prefix, directory = start_a_lab()
    p.kill()
    p.communicate(timeout=20)
    assert traces(prefix, directory)
    subprocess.run([sys.executable, "-m", "lab", "clean"], cwd=TOP, check=True, capture_output=True)
    wait_until(lambda: traces(prefix, directory) == [], 10, "the killed lab removed")
    assert lab.host("web1").ping("10.0.1.12")
    with open(os.path.join(RECORDS, lab.run.prefix + ".json")) as f:
        assert json.load(f)["pid"] == os.getpid()
