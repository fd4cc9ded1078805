# SPDX-License-Identifier: Apache-2.0
"""The configuration of a fabric, described in Python, written as the YAML file that every node reads.

A Fabric holds two things: `config`, the tree of the file, to be changed at will and applied again; and `rigs`, what
the lab has to build beside it (cable, MTU, routes of a workload), which the file knows nothing about.
"""
import copy
import re

from lab import packet


class Rig:
    """How the lab plugs one workload in."""

    def __init__(self, port, kind="veth", mtu=1450, routes="subnet", plugged=True):
        self.port = port
        self.kind = kind  # veth | tap
        self.mtu = mtu  # of the workload's interface
        self.routes = routes  # subnet: its mask and the gateway; onlink: /32 or /128 and an on-link gateway
        self.plugged = plugged  # False: the interface is made later, by Lab.plug()


class Fabric:
    def __init__(self, families=(4,), encryption="never", encap="vxlan", **fabric):
        self.families = families  # of underlay addresses that are given out by themselves
        self.config = {
            "version": 1,
            "fabric": {"encryption": encryption, "encap": encap, **fabric},
            "sites": {},
            "nodes": {},
            "tenants": {},
            "ports": {},
        }
        self.rigs = {}
        self._mac = 0

    # ---- description

    def underlay(self, site, number, families=None):
        """The addresses of the number-th machine at a site."""
        s = list(self.config["sites"]).index(site) + 1
        return [{4: f"198.18.{s}.{number}", 6: f"2001:db8:{s}::{number:x}"}[f] for f in families or self.families]

    def node(self, name, site, families=None, foreign=False, **keys):
        self.config["sites"].setdefault(site, {})
        if "underlay" not in keys:
            taken = sum(n["site"] == site for n in self.config["nodes"].values())
            keys["underlay"] = self.underlay(site, taken + 11, families)
        node = {"site": site, **keys}
        if foreign:
            node["foreign"] = True
        self.config["nodes"][name] = node
        return node

    def tenant(self, name, vni):
        self.config["tenants"][name] = {"vni": vni, "networks": {}}

    def network(self, full_name, mode="l2", **keys):
        tenant, name = full_name.split("/")
        network = self.config["tenants"][tenant]["networks"][name] = {"mode": mode, **keys}
        return network

    def network_of(self, full_name):
        tenant, name = full_name.split("/")
        return self.config["tenants"][tenant]["networks"][name]

    def next_mac(self):
        self._mac += 1
        return f"02:00:00:00:{self._mac >> 8:02x}:{self._mac & 255:02x}"

    def port(self, name, node, network, addresses=(), mac=None, rig=None, **keys):
        port = {"node": node, "network": network, "mac": mac or self.next_mac()}
        if addresses:
            port["addresses"] = list(addresses)
        if not self.config["nodes"][node].get("foreign"):
            port["interface"] = keys.pop("interface", name[:15])
        port.update(keys)
        self.config["ports"][name] = port
        self.rigs[name] = Rig(name, **(rig or {}))
        return port

    def prefix_length(self, port):
        """address -> length of the subnet of the port's network that holds it (else that of one host)."""
        lengths = {}
        subnets = self.network_of(self.config["ports"][port]["network"]).get("subnets", [])
        for a in self.config["ports"][port].get("addresses", []):
            lengths[a] = 128 if packet.is_v6(a) else 32
            for s in subnets:
                base, length = s.split("/")
                if packet.is_v6(base) == packet.is_v6(a):
                    bits = 128 if packet.is_v6(a) else 32
                    shift = bits - int(length)
                    if int.from_bytes(packet.ip(a), "big") >> shift == int.from_bytes(packet.ip(base), "big") >> shift:
                        lengths[a] = int(length)
        return lengths

    def gateways(self, port):
        gateway = self.network_of(self.config["ports"][port]["network"]).get("gateway", [])
        return [gateway] if isinstance(gateway, str) else list(gateway)

    def copy(self):
        return copy.deepcopy(self)

    # ---- the file

    def yaml(self):
        return to_yaml(self.config)

    def own_yaml(self, node, alone=False, **keys):
        """What a node has to know where BGP tells the rest: the nodes that run isthmusd (alone: itself), its own ports."""
        nodes = {n: c for n, c in self.config["nodes"].items() if n == node or not (alone or c.get("foreign"))}
        ports = {name: p for name, p in self.config["ports"].items() if p["node"] == node}
        return to_yaml({**self.config, "nodes": nodes, "ports": ports, **keys})


_plain = re.compile(r"[A-Za-z][A-Za-z0-9_-]*$")
_words = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def _scalar(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    return v if _plain.match(v) and v.lower() not in _words else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _flow(v):
    if isinstance(v, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(x)}" for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ", ".join(_flow(x) for x in v) + "]"
    return _scalar(v)


def to_yaml(tree, indent=0):
    """Maps of scalars and lists on one line each, as a person would write them; all other maps in block style."""
    lines = []
    for key, value in tree.items():
        head = " " * indent + _scalar(key) + ":"
        if isinstance(value, dict) and any(isinstance(x, dict) for x in value.values()):
            lines += [head, to_yaml(value, indent + 2).rstrip("\n")]
        else:
            lines.append(f"{head} {_flow(value)}")
    return "\n".join(lines) + "\n"
