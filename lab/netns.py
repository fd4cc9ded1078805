# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and what is in them.

Programs run by `nsenter --net=`, never by `ip netns exec`, which mounts a new /sys over the BPF file system.  Set-up
goes through one `ip -batch` per namespace.  `with ns:` moves the calling thread into the namespace, to open sockets
there.
"""
import ctypes
import json
import os
import socket
import threading

from lab.run import LabError, command

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e), "setns")


class Namespace:
    def __init__(self, run, name):
        self.run, self.name = run, name
        self.full_name = f"{run.prefix}-{name}"
        self.path = f"/run/netns/{self.full_name}"
        self._local = threading.local()
        run.namespaces.append(self.full_name)

    # ---- inside

    def __enter__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(self.path, os.O_RDONLY)
            try:
                _setns(there)
            finally:
                os.close(there)
        except OSError:
            os.close(home)
            raise
        stack = getattr(self._local, "stack", None)
        if stack is None:
            stack = self._local.stack = []
        stack.append(home)
        return self

    def __exit__(self, *exc):
        home = self._local.stack.pop()
        _setns(home)
        os.close(home)

    def socket(self, *args):
        with self:
            return socket.socket(*args)

    def argv(self, argv):
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def command(self, *argv, timeout=30, check=True, input=None):
        return command(self.argv(argv), timeout=timeout, check=check, input=input)

    def spawn(self, *argv, **options):
        return self.run.spawn(self.argv(argv), **options)

    # ---- set-up

    def ip(self, batch):
        """Run the lines of an `ip -batch` here."""
        lines = [line.strip() for line in batch.splitlines() if line.strip()]
        if lines:
            command(["ip", "-n", self.full_name, "-batch", "-"], input="\n".join(lines) + "\n")

    def tc(self, *argv):
        return command(["tc", "-n", self.full_name, *argv]).stdout

    def ip_json(self, *argv):
        return json.loads(command(["ip", "-n", self.full_name, "-j", *argv]).stdout or "[]")

    def link(self, name):
        """The link as `ip -j -s -d link` shows it, or None."""
        p = command(["ip", "-n", self.full_name, "-j", "-s", "-d", "link", "show", "dev", name], check=False)
        return json.loads(p.stdout)[0] if p.returncode == 0 else None

    def ifindex(self, name):
        with self:
            return socket.if_nametoindex(name)

    def write_sysctl(self, path, value):
        # /proc/sys/net answers for the namespace of the thread that opens it.
        with self:
            with open("/proc/sys/" + path, "w") as f:
                f.write(str(value))

    def read_sysctl(self, path):
        with self:
            with open("/proc/sys/" + path) as f:
                return f.read().strip()


def make_namespaces(run, names):
    """Make several namespaces with one command each for `ip netns add` and for lo."""
    made = [Namespace(run, n) for n in names]
    run.write_record()
    command(["ip", "-batch", "-"], input="".join(f"netns add {n.full_name}\n" for n in made))
    for n in made:
        # No router solicitations, DAD delays or surprises: an address is usable as soon as it is there.
        for path, value in (
            ("net/ipv6/conf/default/accept_dad", 0),
            ("net/ipv6/conf/default/accept_ra", 0),
            ("net/ipv6/conf/default/router_solicitations", 0),
            ("net/ipv6/conf/default/optimistic_dad", 0),
            ("net/ipv4/ping_group_range", "0 2147483647"),
        ):
            try:
                n.write_sysctl(path, value)
            except OSError as e:
                raise LabError(f"{n.name}: {path}: {e.strerror}") from e
        n.ip("link set lo up")
    return made
