# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: built, checked, installed, upgraded under traffic, removed and purged.

    w1 -- dc1, its daemon from the package ==== wan ==== aws1 -- w2

Nothing is installed on this machine: dc1 is a mount namespace of its own, in which an overlay of / is the root and
dpkg works as ever.  There is no systemd in it; ./systemctl does what the maintainer scripts ask of it.
"""
import glob
import os
import shutil
import subprocess

import pytest

from lab.fabric import Fabric
from lab.host import TcpFlows, UdpStream
from lab.node import build_directory
from lab.room import Lab
from lab.run import LabError, command, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SET_UP = """
set -e
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$0/root"
mount --rbind /proc "$0/root/proc"
mount --rbind /dev "$0/root/dev"
mount -t sysfs sysfs "$0/root/sys"
mount -t bpf bpf "$0/root/sys/fs/bpf"
mount -t tmpfs tmpfs "$0/root/run"
mkdir -p "$0/root/run/systemd/system" "$0/root/usr/local/sbin"
cp "$1" "$0/root/usr/local/sbin/systemctl"
rm -f "$0/root/usr/sbin/policy-rc.d"
echo "--node dc1" >"$0/root/run/isthmusd.options"
exec chroot "$0/root" sh -c 'echo ready; exec sleep infinity'
"""


def packages(folder):
    return sorted(p for p in glob.glob(f"{folder}/*.deb") if "-dbgsym_" not in p)


class Box:
    """The machine dc1: a root of its own over that of this machine."""

    def __init__(self, lab, debs):
        self.node, self.debs = lab.node("dc1"), debs
        top = os.path.join(lab.run.directory, "box")
        os.mkdir(top)
        stand_in = os.path.join(ROOT, "tests", "deb", "systemctl")
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SET_UP, top, stand_in]
        self.holder = self.node.ns.spawn(*argv, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.top = f"/proc/{self.holder.pid}/root"
        lab.run.on_close(self.run, "systemctl", "stop", "isthmusd")

    def run(self, *argv, check=True):
        inside = ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", "--root", "--wd"]
        environment = {**os.environ, "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive"}
        p = subprocess.run([*inside, *argv], text=True, capture_output=True, timeout=120, env=environment)
        if check and p.returncode:
            raise LabError(f"{' '.join(argv)}: exit {p.returncode}: {p.stdout + p.stderr}")
        return p

    def has(self, path):
        return os.path.lexists(self.top + path)

    def read(self, path):
        with open(self.top + path) as f:
            return f.read()

    def write(self, path, text):
        with open(self.top + path, "w") as f:
            f.write(text)

    def install(self, folder):
        names = []
        for path in packages(folder):
            shutil.copy(path, f"{self.top}/root/")
            names.append(f"/root/{os.path.basename(path)}")
        p = self.run("dpkg", "-i", *names)
        for name in names:
            os.unlink(self.top + name)
        return p

    def state_of(self, package):
        return self.run("dpkg-query", "-W", "-f", "${db:Status-Status}", package, check=False).stdout

    def pid(self):
        p = self.run("systemctl", "is-active", "isthmusd", check=False)
        return int(self.read("/run/isthmusd.pid")) if p.returncode == 0 else None


@pytest.fixture(scope="module")
def debs():
    """The packages, as `make deb` builds them; their folder."""
    folder = os.path.join(build_directory(), "deb")
    p = subprocess.run([os.path.join(ROOT, "tools", "deb"), folder], text=True, capture_output=True, timeout=600)
    assert p.returncode == 0, p.stdout + p.stderr
    return folder


@pytest.fixture(scope="module")
def newer(debs, tmp_path_factory):
    """The same packages, called one version later."""
    folder = tmp_path_factory.mktemp("newer")
    for path in packages(debs):
        command(["dpkg-deb", "-R", path, f"{folder}/tree"])
        with open(f"{folder}/tree/DEBIAN/control") as f:
            text = f.read().replace("0.1.0-1", "0.1.0-2")
        with open(f"{folder}/tree/DEBIAN/control", "w") as f:
            f.write(text)
        command(["dpkg-deb", "--root-owner-group", "-b", f"{folder}/tree", str(folder)])
        shutil.rmtree(f"{folder}/tree")
    return folder


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.port("w1", "dc1", "red/web", ["10.0.1.11", "fd00:1::11"])
    fabric.port("w2", "aws1", "red/web", ["10.0.1.12", "fd00:1::12"])
    with Lab(fabric, start=False) as lab:
        far = lab.node("aws1").daemon
        far.write_config(fabric.yaml())
        far.start()
        yield lab


@pytest.fixture(scope="module")
def box(lab, debs):
    return Box(lab, debs)


@pytest.fixture
def running(box, lab):
    """The packages are installed and the daemon serves."""
    if box.state_of("isthmusd") != "installed":
        box.install(box.debs)
    box.write("/etc/isthmus/isthmus.yaml", lab.fabric.yaml())
    box.run("systemctl", "start", "isthmusd")
    wait_until(lambda: box.run("isthmus", "status", check=False).returncode == 0, 10, "dc1 up")
    wait_until(lambda: lab.host("w1").ping("10.0.1.12", check=False), 10, "w2 answers")
    return box


def test_lintian_finds_no_error(debs):
    (changes,) = glob.glob(f"{debs}/*.changes")
    p = subprocess.run(["lintian", "--fail-on", "error", "--allow-root", changes], text=True, capture_output=True)
    assert p.returncode == 0, p.stdout + p.stderr


def test_a_first_installation_is_whole_and_starts_nothing(box):
    box.install(box.debs)
    for path in (
        "/usr/sbin/isthmusd",
        "/usr/bin/isthmus",
        "/lib/systemd/system/isthmusd.service",
        "/etc/systemd/system/multi-user.target.wants/isthmusd.service",
        "/etc/isthmus",
        "/usr/share/man/man1/isthmus.1.gz",
        "/usr/share/man/man5/isthmus.yaml.5.gz",
        "/usr/share/man/man8/isthmusd.8.gz",
        "/usr/share/bash-completion/completions/isthmus",
        "/usr/share/fish/vendor_completions.d/isthmus.fish",
        "/usr/share/zsh/vendor-completions/_isthmus",
        "/usr/share/doc/isthmusd/README.Debian",
    ):
        assert box.has(path), path
    assert box.run("getent", "group", "isthmus").stdout.startswith("isthmus:")
    assert box.pid() is None
    assert box.run("isthmusd", "--version").stdout.startswith("isthmusd 0.1.0")


def test_an_upgrade_under_traffic_loses_nothing(running, lab, newer):
    w1, w2 = lab.host("w1"), lab.host("w2")
    before, programs = running.pid(), running.node.bpf_ids()
    streams = [UdpStream(w1, w2), UdpStream(w2, w1, v6=True)]
    flows = TcpFlows(w1, w2, 20)
    for s in streams:
        s.wait_flowing()
    running.install(newer)
    for s in streams:
        s.wait_flowing(1000)
    flows.wait_flowing()
    report = flows.stop()
    results = [s.stop() for s in streams]
    assert running.run("dpkg-query", "-W", "-f", "${Version}", "isthmusd").stdout == "0.1.0-2"
    assert running.pid() not in (before, None)
    assert running.node.bpf_ids() == programs  # the same build takes over what is there
    print(f"upgrade: {sum(r['sent'] for r in results)} packets sent, {[r['lost'] for r in results]} lost")
    assert [r["lost"] for r in results] == [0, 0]
    assert report["alive"] == 20 and report["errors"] == []


def test_removal_takes_the_data_plane_down_and_keeps_what_was_configured(running, lab):
    running.run("dpkg", "-r", "isthmusd", "isthmus")
    assert running.pid() is None
    assert running.node.bpf_ids() == []
    assert "isthmus" not in os.listdir(f"{running.top}/sys/fs/bpf")
    assert not lab.host("w1").ping("10.0.1.12", check=False, timeout=0.3)
    assert running.has("/etc/isthmus/isthmus.yaml") and running.has("/var/lib/isthmus/fabric.yaml")
    assert not running.has("/usr/sbin/isthmusd") and not running.has("/run/isthmus")


def test_purge_leaves_nothing_behind(running):
    running.run("dpkg", "-P", "isthmusd", "isthmus")
    assert running.pid() is None and running.node.bpf_ids() == []
    own = ("/var/lib/dpkg/info", "/usr/local/sbin")
    left = running.run("find", "/usr", "/etc", "/var", "/lib/systemd", "/run", "-xdev", "-iname", "*isthmus*").stdout.split()
    lab_own = ("/run/isthmusd.options", "/run/isthmusd.pid", "/run/isthmusd.log", "/run/isthmusd.notify")
    left = [p for p in left if not p.startswith(own) and p not in lab_own and not os.path.exists(p)]
    assert left == []
    assert running.run("getent", "group", "isthmus", check=False).returncode == 2
    assert running.state_of("isthmusd") in ("", "not-installed")
