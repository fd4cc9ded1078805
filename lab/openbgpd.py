# SPDX-License-Identifier: Apache-2.0
"""OpenBGPD in one of the lab's namespaces, asked by bgpctl.  On Linux it leaves the kernel's routes alone."""
import json
import os

from lab.run import LabError, wait_until

# It locks itself into this directory, which is there while its service runs: here in a file system of its own.
START = "mount -t tmpfs -o mode=755 none /run && mkdir /run/openbgpd && exec bgpd -d -f"


class Openbgpd:
    """start() with the text of a configuration; ended with the lab.  Its parts run as its user, in a chroot."""

    def __init__(self, run, ns, name):
        self.ns = ns
        self.config = os.path.join(run.directory, f"{name}.conf")
        self.control = os.path.join(run.directory, f"{name}.sock")
        self.log_path = os.path.join(run.directory, f"{name}.log")
        self.process = None

    def start(self, text):
        with open(self.config, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(f'socket "{self.control}"\n{text}')
        with open(self.log_path, "a") as log:
            self.process = self.ns.spawn(
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", f"{START} {self.config}"),
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: os.path.exists(self.control) and self.answers(), 10, "OpenBGPD")

    def kill(self):
        """Its children end with it."""
        self.process.kill()
        self.process.wait()

    def command(self, *words):
        return self.ns.command("bgpctl", "-j", "-s", self.control, *words, check=False)

    def answers(self):
        return self.command("show", "neighbor").returncode == 0

    def ask(self, *words):
        p = self.command(*words)
        if p.returncode:
            raise LabError(f"bgpctl {' '.join(words)}: {p.stdout}{p.stderr}")
        return p.stdout

    def announce(self, prefix, next_hop):
        self.ask("network", "add", prefix, "nexthop", next_hop)

    def withdraw(self, prefix):
        self.ask("network", "delete", prefix)

    def routes(self):
        """Prefix -> next hops, of what its neighbors say."""
        found = {}
        for r in json.loads(self.ask("show", "rib"))["rib"]:
            if r["neighbor"].get("description") != "LOCAL" and r["valid"]:
                found.setdefault(r["prefix"], set()).add(r["exit_nexthop"])
        return found

    def established(self):
        return sum(n["state"] == "Established" for n in json.loads(self.ask("show", "neighbor"))["neighbors"])


def router(asn, router_id, local, peer_as, peers):
    """Sessions from `local` to these, both families in each; what is announced comes by announce(), and keeps the next hop
    that is given there.  (For the family that the session is not over it would take an address of lo for its own; a next
    hop that is not touched takes "multihop".)
    """
    text = f"AS {asn}\nrouter-id {router_id}\nfib-update no\nconnect-retry 1\nlisten on {local}\n"
    for peer in peers:
        text += f"neighbor {peer} {{\n remote-as {peer_as}\n local-address {local}\n multihop 2\n"
        text += " announce IPv4 unicast\n announce IPv6 unicast\n announce restart yes\n}\n"
    return text + "allow from any\nallow to any\nmatch to any set nexthop no-modify\n"
