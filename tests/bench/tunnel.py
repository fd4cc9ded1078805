#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One tunnel between two namespaces: src/wg/tunnel.h with each AEAD, beside wireguard-go, the kernel's VXLAN and no tunnel.

tunnel.py [SECONDS [CASE ...]]      default: 3 seconds for each figure, all cases; prints one row each

    a: iperf3 -> TAP -> tunnel -> a0 ====== b0 -> tunnel -> TAP -> iperf3: b

`cut`: offloads are off on the wire, so that packets of 1,500 bytes cross it; `whole`: super-packets do.  CPU seconds are those of the
two tunnel processes, in user space and in the kernel on their behalf; what the kernel does by itself and iperf3 is not in it, so it
can be compared between tunnels also where other work shares the machine, as throughput cannot.  `aes-vxlan` has VXLAN inside, as nodes
do; WORKERS in the environment says how many threads carry data (2).
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from lab.netns import make_namespaces  # noqa: E402
from lab.run import Run, command, handle_signals, wait_until  # noqa: E402
from lab.wireguard import PORT, Tunnel, key_pair  # noqa: E402

CASES = ("none", "vxlan", "wireguard-go", "chacha", "aes", "aes-vxlan")
INSIDE = {"none": "192.0.2", "vxlan": "10.8.0", "aes-vxlan": "10.8.0"}  # else 10.9.0


class Wire:
    def __init__(self, run, cut):
        self.run = run
        self.a, self.b = make_namespaces(run, ["a", "b"])
        command(["ip", "-n", self.a.full_name, "link", "add", "a0", "type", "veth", "peer", "name", "b0", "netns", self.b.full_name])
        for ns, link, last in ((self.a, "a0", 1), (self.b, "b0", 2)):
            ns.ip(f"addr add 192.0.2.{last}/24 dev {link}\nlink set {link} up")
            if cut:
                ns.command("ethtool", "-K", link, "tso", "off", "gso", "off", "tx-udp-segmentation", "off", "gro", "on")
        self.ends = ((self.a, 0, 1, 2), (self.b, 1, 2, 1))
        self.processes = []

    def ours(self, suite):
        tunnels = [Tunnel(ns, key_pair()[0], int(os.environ.get("WORKERS", 2)), 1440) for ns, *_ in self.ends]
        for (ns, role, own, other), t in zip(self.ends, tunnels):
            ns.ip(f"addr add 10.9.0.{own}/24 dev sec0")
            t.peer(tunnels[1 - role].public, [f"10.9.0.{other}"], (f"192.0.2.{other}", PORT), suite)
        self.processes = [t.process for t in tunnels]

    def vxlan(self, around, mtu):
        for ns, _, own, other in self.ends:
            ns.ip(f"""link add vx0 type vxlan id 7 local {around}.{own} remote {around}.{other} dstport 4789 noudpcsum
                      addr add 10.8.0.{own}/24 dev vx0
                      link set vx0 mtu {mtu - 50} up""")

    def wireguard_go(self):
        private = [command(["wg", "genkey"]).stdout for _ in self.ends]
        public = [command(["wg", "pubkey"], input=k).stdout.strip() for k in private]
        for (ns, role, own, other), key in zip(self.ends, private):
            name, path = f"wgb{os.getpid() % 100000}{role}", os.path.join(self.run.directory, f"key{role}")
            with open(path, "w") as f:
                f.write(key)
            self.processes.append(ns.spawn("wireguard-go", "-f", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait_until(lambda name=name: os.path.exists(f"/var/run/wireguard/{name}.sock"), 10)
            ns.command("wg", "set", name, "listen-port", PORT, "private-key", path, "peer", public[1 - role], "endpoint",
                       f"192.0.2.{other}:{PORT}", "allowed-ips", "10.9.0.0/24")
            ns.ip(f"addr add 10.9.0.{own}/24 dev {name}\nlink set {name} mtu 1420 up")

    def start(self, case):
        if case == "wireguard-go":
            self.wireguard_go()
        elif case not in ("none", "vxlan"):
            self.ours(0 if case == "chacha" else 1)
        if case == "vxlan":
            self.vxlan("192.0.2", 1500)
        elif case == "aes-vxlan":
            self.vxlan("10.9.0", 1440)

    def cpu_s(self):
        """Of the tunnels, so far."""
        total = 0
        for p in self.processes:
            with open(f"/proc/{p.pid}/stat") as f:
                total += sum(map(int, f.read().rpartition(")")[2].split()[11:13]))
        return total / os.sysconf("SC_CLK_TCK")


def iperf3(wire, address, seconds, *more):
    server = wire.b.spawn("iperf3", "-s", "-1", "-B", address, stdout=subprocess.DEVNULL)
    wait_until(lambda: ":5201" in wire.b.command("ss", "-ltn").stdout, 10)
    before = wire.cpu_s()
    out = json.loads(wire.a.command("iperf3", "-J", "-c", address, "-t", seconds, "-C", "cubic", *more, timeout=seconds + 30).stdout)
    cpu = wire.cpu_s() - before
    server.wait(10)
    return out["end"], cpu


def ping_us(wire, address):
    out = wire.a.command("ping", "-n", "-q", "-c", "200", "-i", "0.002", address, timeout=30).stdout
    return float(out.rsplit("=", 1)[1].split("/")[1]) * 1000


def one(case, cut, seconds):
    run = Run()
    try:
        wire = Wire(run, cut)
        address = INSIDE.get(case, "10.9.0") + ".2"
        wire.start(case)
        wire.a.command("ping", "-n", "-q", "-c", "3", "-i", "0.1", address)
        row = [case, "cut" if cut else "whole"]
        for streams in (1, 4):
            end, cpu = iperf3(wire, address, seconds, "-P", streams)
            got = end["sum_received"]["bytes"]
            row += [f"{end['sum_received']['bits_per_second'] / 1e9:.2f}", f"{cpu / (got / 1e9):.2f}"]
        end, cpu = iperf3(wire, address, seconds, "-u", "-b", "0", "-l", "64")
        got = end["sum"]["packets"] - end["sum"]["lost_packets"]
        row += [f"{got / end['sum']['seconds'] / 1000:.0f}", f"{cpu / got * 1e6:.2f}", f"{ping_us(wire, address):.0f}"]
        print("\t".join(row), flush=True)
    finally:
        run.close()


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    handle_signals()
    print("case\twire\tGbit/s, 1 stream\tCPU-s/GB\tGbit/s, 4\tCPU-s/GB\tkpps of 64 bytes\tCPU-us each\tmean round trip, us", flush=True)
    for case in sys.argv[2:] or CASES:
        for cut in (True, False):
            one(case, cut, seconds)


if __name__ == "__main__":
    main()
