# SPDX-License-Identifier: Apache-2.0
"""Row F3: hostile configurations against a running daemon, by `isthmus apply` and by the file itself (SIGHUP).

Refused within 1 s of processor time with file:line:column and path, exit code 2; the daemon takes at most 64 MB more
meanwhile, and what runs stays as it was.  tests/conf/test_limits.py has many more such files for the parser alone.
"""
import os
import re
import resource
import signal
import subprocess

import pytest
from helpers import is_sanitized

from lab.fabric import Fabric
from lab.node import binary
from lab.room import Lab
from lab.run import wait_until

MIB = 1 << 20
HEAD = "version: 1\nfabric: {encryption: never}\nsites: {dc: {}}\nnodes: {one: {site: dc, underlay: 192.0.2.1}}\n"


def bomb():
    """Each level holds the one before nine times."""
    rows = ['l0: &l0 ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    rows += [f"l{i}: &l{i} [{','.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 31)]
    return "\n".join(rows) + "\n"


HOSTILE = {
    "broken_yaml": lambda: HEAD + "ports: [\n",
    "alias_bomb": bomb,
    "nested_lists": lambda: "a: " + "[" * 10000 + "]" * 10000 + "\n",
    "nested_maps": lambda: "{a: " * 10000 + "1" + "}" * 10000 + "\n",
    "nested_dashes": lambda: "- " * 10000 + "a\n",
    "fifty_megabytes": lambda: HEAD + "#" * (50 * MIB) + "\n",
    "nul": lambda: HEAD + "\0",
    "nul_inside": lambda: HEAD.replace("never", "ne\0ver"),
    "duplicate_keys": lambda: HEAD + "sites: {aws: {}}\n",
    "wrong_type": lambda: HEAD + "tenants: 7\n",
    "wrong_type_inside": lambda: HEAD + "tenants: {red: {vni: many, networks: []}}\n",
    "unknown_key": lambda: HEAD + "nonsense: 1\n",
    "unknown_key_inside": lambda: HEAD.replace("site: dc,", "site: dc, colour: red,"),
}


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("one", "dc")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"], gateway=["10.0.1.1"])
    fabric.port("w1", "one", "red/web", ["10.0.1.11"])
    fabric.port("w2", "one", "red/web", ["10.0.1.12"])
    with Lab(fabric) as lab:
        yield lab


def place(path, name):
    """How a refusal names the place; the client does not read a file to its end that is too large anyway."""
    if name == "fifty_megabytes":
        return rf"^isthmus: {re.escape(str(path))} is larger than \d+ MiB.+\(IST-\d{{4}}\)$"
    return rf"^{re.escape(str(path))}:\d+:\d+: \S+: .+expected .+\(IST-\d{{4}}\)$"


def memory(pid, what):
    """VmRSS or VmHWM, bytes."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"^{what}:\s+(\d+) kB", f.read(), re.M)[1]) * 1024


def seconds(pid):
    """Of processor time: the daemon's and that of the programs that ended.  The machine may have other things to do."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    daemon = 0
    if pid:
        with open(f"/proc/{pid}/stat") as f:
            daemon = sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return daemon + ended.ru_utime + ended.ru_stime


class Untouched:
    """In the `with` the daemon lives on as it is, answers, forwards, and takes little more memory."""

    def __init__(self, lab):
        self.lab, self.node = lab, lab.node("one")
        self.pid = self.node.daemon.process.pid

    def state(self):
        status = self.node.isthmus("status", json_output=True)
        return {k: status[k] for k in ("generation", "networks", "tenants", "endpoints", "pid")}, \
            self.node.request("GET", "/v1/config"), self.node.bpf_ids()

    def __enter__(self):
        self.before = self.state()
        with open(f"/proc/{self.pid}/clear_refs", "w") as f:
            f.write("5")  # the peak starts anew
        self.rss = memory(self.pid, "VmRSS")
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            return
        grown = memory(self.pid, "VmHWM") - self.rss
        print(f"{grown / MIB:.1f} MiB more")
        assert is_sanitized(binary("isthmusd")) or grown <= 64 * MIB, f"the daemon took {grown / MIB:.1f} MiB more"
        assert self.state() == self.before
        assert self.lab.host("w1").ping("10.0.1.12")


def test_the_healthy_file_is_accepted(lab):
    """What follows is refused for what is wrong with it, and for nothing else."""
    p = lab.node("one").apply(lab.fabric.yaml(), check=False)
    assert p.returncode == 0, p.stderr


@pytest.mark.parametrize("name", HOSTILE)
def test_apply_refuses(lab, name, tmp_path):
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name]())
    node = lab.node("one")
    with Untouched(lab) as daemon:
        begun = seconds(daemon.pid)
        p = node.isthmus("apply", path, check=False)
        took = seconds(daemon.pid) - begun
        assert p.returncode == 2, f"exit {p.returncode}: {p.stdout} {p.stderr}"
        assert re.search(place(path, name), p.stderr, re.M), p.stderr[:1000]
        print(f"{took:.3f} s")
        assert is_sanitized(binary("isthmusd")) or took <= 1, f"{took:.2f} s"


@pytest.mark.parametrize("name", HOSTILE)
def test_the_file_itself_is_refused(lab, name):
    """The daemon reads it: it says why, is degraded, goes on as before, and recovers with the right file."""
    node = lab.node("one")
    daemon = node.daemon
    with Untouched(lab) as untouched:
        daemon.write_config(HOSTILE[name]())
        seen = len(daemon.log())
        begun = seconds(untouched.pid)
        daemon.signal(signal.SIGHUP)
        line = wait_until(lambda: re.search(rf"{re.escape(daemon.config)}:\d+:\d+: \S+: .+", daemon.log()[seen:]), 5)
        took = seconds(untouched.pid) - begun
        print(f"{took:.3f} s: {line[0][:200]}")
        assert is_sanitized(binary("isthmusd")) or took <= 1, f"{took:.2f} s"
        daemon.write_config(lab.fabric.yaml())
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: node.isthmus("status", json_output=True)["state"] == "OK", 5)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_start_with_it_ends_with_2(lab, name, tmp_path):
    """A second daemon, with nothing applied before."""
    path = tmp_path / "hostile.yaml"
    path.write_text(HOSTILE[name]())
    own = {d: str(tmp_path / d) for d in ("run", "state", "bpf")}
    begun = seconds(None)
    p = subprocess.run([binary("isthmusd"), "--node", "one", "--config", str(path), "--run-dir", own["run"],
                        "--state-dir", own["state"], "--bpf-dir", own["bpf"]], capture_output=True, text=True, timeout=20)
    took = seconds(None) - begun
    assert p.returncode == 2, f"exit {p.returncode}: {p.stderr[:1000]}"
    assert re.search(rf"{re.escape(str(path))}:\d+:\d+: \S+: ", p.stderr), p.stderr[:1000]
    assert is_sanitized(binary("isthmusd")) or took <= 1, f"{took:.2f} s"
    assert not os.path.exists(own["bpf"])
