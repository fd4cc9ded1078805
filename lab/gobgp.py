# SPDX-License-Identifier: Apache-2.0
"""GoBGP in one of the lab's namespaces, asked by its own command line."""
import json
import os

from lab.run import LabError, wait_until

FAMILIES = ("l2vpn-evpn", "ipv4-unicast", "ipv6-unicast")


class Gobgp:
    """start() with the text of a configuration (TOML); ended with the lab."""

    def __init__(self, run, ns, name):
        self.ns, self.run = ns, run
        self.path = os.path.join(run.directory, f"{name}.toml")
        self.log_path = os.path.join(run.directory, f"{name}.log")
        self.process = None

    def start(self, config=None, restarting=False):
        """restarting: its clients are told that it was here before (the R bit, RFC 4724)."""
        if config:
            with open(self.path, "w") as f:
                f.write(config)
        with open(self.log_path, "a") as log:
            self.process = self.ns.spawn(
                *("gobgpd", "-f", self.path, "--api-hosts", "127.0.0.1:50051", "--pprof-disable", "--log-plain"),
                *(["--graceful-restart"] if restarting else []),
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.ask("global"), 10, "GoBGP")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, *argv):
        p = self.ns.command("gobgp", "--json", *argv, check=False)
        if p.returncode:
            raise LabError(f"gobgp {' '.join(argv)}: {p.stdout}{p.stderr}")
        return json.loads(p.stdout)

    def established(self):
        """Peers that are up."""
        return [n["conf"]["neighbor_address"] for n in self.ask("neighbor") if n["state"].get("session_state") == 6]


def reflector(asn, router_id, clients, restart_s=120):
    """Takes these as clients, for EVPN and both kinds of unicast; keeps what they said while they restart, and asks them
    to do the same for it.
    """
    text = f'[global.config]\n  as = {asn}\n  router-id = "{router_id}"\n'
    for c in clients:
        text += f"""
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{c}"
    peer-as = {asn}
  [neighbors.transport.config]
    passive-mode = true
  [neighbors.route-reflector.config]
    route-reflector-client = true
    route-reflector-cluster-id = "{router_id}"
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = {restart_s}
    deferral-time = 30
    notification-enabled = true
"""
        for f in FAMILIES:
            text += f"""  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{f}"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"""
    return text
