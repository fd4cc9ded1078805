# SPDX-License-Identifier: Apache-2.0
"""The command line and the API against a real daemon.

One fabric for all tests that only look; a test that breaks something makes its own (`own_lab`).

    dc1: web1 (red/web, l2), app1 (red/app, l3)      aws1: web2 (red/web)      dc2: nothing
"""
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lab.fabric import Fabric  # noqa: E402
from lab.node import binary, build_directory  # noqa: E402
from lab.room import Lab  # noqa: E402


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the daemon and its namespaces need root", returncode=4)


def make_fabric():
    f = Fabric(families=(4, 6))
    f.node("dc1", "dc")
    f.node("dc2", "dc")
    f.node("aws1", "aws")
    f.tenant("red", 5000)
    f.network("red/web", subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"], vni=5001)
    f.network("red/app", mode="l3", subnets=["10.0.2.0/24"])
    f.port("web1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    f.port("web2", "aws1", "red/web", ["10.0.1.12"])
    f.port("app1", "dc1", "red/app", ["10.0.2.11"])
    f.config["bgp"] = {"as": 65000}
    return f


class Cli:
    """The command line of one node, run where its daemon runs."""

    def __init__(self, lab, node):
        self.lab, self.node = lab, lab.nodes[node]
        self.directory = os.path.dirname(self.node.daemon.config)
        self.socket = os.path.join(self.node.daemon.run_dir, "isthmus.sock")

    @property
    def environment(self):
        d = self.node.daemon
        return {
            **os.environ,
            "PATH": os.path.dirname(binary("isthmus")) + ":" + os.environ["PATH"],
            "ISTHMUS_RUN_DIR": d.run_dir,
            "ISTHMUS_STATE_DIR": d.state_dir,
            "ISTHMUS_BPF_DIR": d.bpf_dir,
            "TERM": "xterm",
        }

    def run(self, *argv, input=None, prefix=(), env=None, timeout=30):
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            self.node.ns.argv([*prefix, "isthmus", *argv]),
            text=True,
            capture_output=True,
            timeout=timeout,
            env={**self.environment, **(env or {})},
            cwd=self.directory,
            **stdin,
        )

    def shell(self, line, timeout=30):
        return subprocess.run(
            self.node.ns.argv(["bash", "-c", line]),
            text=True,
            capture_output=True,
            timeout=timeout,
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
        )

    def ok(self, *argv, **options):
        p = self.run(*argv, **options)
        assert p.returncode == 0, f"isthmus {' '.join(argv)}: exit {p.returncode}\n{p.stdout}{p.stderr}"
        return p.stdout


@pytest.fixture(scope="session")
def lab():
    with Lab(make_fabric()) as made:
        for name in ("dc1", "aws1"):
            made.nodes[name].wait_up()
        os.chmod(made.run.directory, 0o755)
        yield made


@pytest.fixture(scope="session")
def cli(lab):
    return Cli(lab, "dc1")


@pytest.fixture
def own_lab():
    with Lab(make_fabric()) as made:
        made.nodes["dc1"].wait_up()
        os.chmod(made.run.directory, 0o755)
        yield made


@pytest.fixture
def own_cli(own_lab):
    return Cli(own_lab, "dc1")


@pytest.fixture
def static_cli():
    """Without BGP: what a change of the file does is all that happens."""
    fabric = make_fabric()
    del fabric.config["bgp"]
    with Lab(fabric) as made:
        made.nodes["dc1"].wait_up()
        yield Cli(made, "dc1")


@pytest.fixture(scope="session")
def build():
    return build_directory()
