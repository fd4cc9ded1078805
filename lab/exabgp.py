# SPDX-License-Identifier: Apache-2.0
"""ExaBGP in one of the lab's namespaces: announces what its configuration says, attributes by their bytes too."""
import os

SETTINGS = {
    "exabgp.daemon.daemonize": "false",
    "exabgp.daemon.user": "root",
    "exabgp.daemon.drop": "false",
    "exabgp.api.cli": "false",
    "exabgp.log.level": "WARNING",
}


class Exabgp:
    """start() with the text of a configuration; ended with the lab."""

    def __init__(self, run, ns, name):
        self.ns, self.run = ns, run
        self.path = os.path.join(run.directory, f"{name}.conf")
        self.log_path = os.path.join(run.directory, f"{name}.log")
        self.process = None

    def start(self, config):
        with open(self.path, "w") as f:
            f.write(config)
        with open(self.log_path, "a") as log:
            self.process = self.ns.spawn("exabgp", self.path, stdout=log, stderr=log, env={**os.environ, **SETTINGS})

    def stop(self):
        self.run.end(self.process)


def neighbor(address, local, peer_as, local_as, routes):
    """routes: (prefix, next hop, [(kind, flags, value)]) with attributes that ExaBGP is to take as they are."""
    lines = []
    for prefix, next_hop, attributes in routes:
        own = "".join(f" attribute [ 0x{kind:02x} 0x{flags:02x} 0x{value.hex()} ]" for kind, flags, value in attributes)
        lines.append(f"    route {prefix} next-hop {next_hop}{own};")
    return "\n".join(
        [
            f"neighbor {address} {{",
            f"  router-id {local};\n  local-address {local};\n  local-as {local_as};\n  peer-as {peer_as};",
            "  family {\n    ipv4 unicast;\n  }\n  static {",
            *lines,
            "  }\n}\n",
        ]
    )
