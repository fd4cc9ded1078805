# SPDX-License-Identifier: Apache-2.0
"""A machine that runs isthmusd: its namespace, its daemon, its command line."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading

from lab.run import LabError, wait_until

_top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build_directory():
    return os.path.abspath(os.environ.get("ISTHMUS_BUILD", os.path.join(_top, "build")))


def binary(name):
    """isthmusd or isthmus from $ISTHMUS_BUILD (default ./build)."""
    path = os.path.join(build_directory(), "src", {"isthmusd": "agent", "isthmus": "cli"}[name], name)
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is missing: build first (make), or set ISTHMUS_BUILD")
    return path


class Daemon:
    """isthmusd of one node, started with its own directories; ready means that it said so by sd_notify."""

    def __init__(self, node):
        self.node, self.process = node, None
        d = os.path.join(node.run.directory, node.name)
        self.run_dir, self.state_dir, self.bpf_dir = (os.path.join(d, x) for x in ("run", "state", "bpf"))
        self.config = os.path.join(d, "isthmus.yaml")
        self.log_path = os.path.join(d, "log")
        for path in (d, self.run_dir, self.state_dir):
            os.makedirs(path, exist_ok=True)
        self.options = []  # of its command line, beside those of the lab
        self.program = None  # another isthmusd than that of the build
        self.prefix = []  # what starts it: a tracer, a limit
        self.notified = []  # what it said since its start, "READY=1" and the like
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(os.path.join(d, "notify"))
        # As the service manager does: always listening, or the daemon would wait for us.
        threading.Thread(target=self._listen, daemon=True).start()
        node.run.on_close(self._stop_listening)

    def write_config(self, text):
        with open(self.config + ".new", "w") as f:
            f.write(text)
        os.rename(self.config + ".new", self.config)

    def directories(self):
        return ["--run-dir", self.run_dir, "--state-dir", self.state_dir, "--bpf-dir", self.bpf_dir]

    def argv(self, *more):
        own = ["--node", self.node.name, "--config", self.config, *self.directories()]
        return [self.program or binary("isthmusd"), *own, *self.options, *more]

    def start(self, wait=True, environment=None):
        self.notified = []
        with open(self.log_path, "a") as log:
            self.process = self.node.ns.spawn(
                *self.prefix,
                *self.argv(),
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "NOTIFY_SOCKET": os.path.join(os.path.dirname(self.config), "notify"),
                    **(environment or {}),
                },
            )
        if wait:
            self.wait_ready()
        return self

    def _listen(self):
        while message := self._notify.recv(4096):
            self.notified += message.decode(errors="replace").split("\n")

    def _stop_listening(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"", os.path.join(os.path.dirname(self.config), "notify"))

    def wait_for_notify(self, word, timeout=10):
        """Wait for a line like READY=1 on the notification socket."""

        def seen():
            if self.process.poll() is not None:
                raise SystemError
            return word in self.notified

        try:
            wait_until(seen, timeout, f"{word} from isthmusd on {self.node.name}")
        except SystemError:
            raise LabError(
                f"isthmusd on {self.node.name} ended with {self.process.returncode}:\n{self.log()[-3000:]}"
            ) from None
        except LabError as e:
            raise LabError(f"{e}\n{self.log()[-3000:]}") from None

    def wait_ready(self, timeout=10):
        self.wait_for_notify("READY=1", timeout)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill9(self):
        self.node.run.end(self.process, signal.SIGKILL)

    def stop(self):
        """SIGTERM; returns the exit code.  The data plane stays."""
        return self.node.run.end(self.process, signal.SIGTERM)

    def restart(self):
        self.kill9()
        self.start()

    def teardown(self):
        if self.running:
            self.stop()
        return self.node.ns.command(*self.argv("--teardown"), check=False)


class Node:
    def __init__(self, name, run, ns, underlay):
        self.name, self.run, self.ns, self.underlay = name, run, ns, underlay
        self.uplink = "up0"
        self.daemon = Daemon(self)

    def __repr__(self):
        return f"<node {self.name}>"

    def isthmus(self, *argv, json_output=False, check=True, input=None, timeout=30):
        """Run the command line against this node's daemon; the CompletedProcess, or the parsed JSON."""
        argv = [*map(str, argv), *(["-o", "json"] if json_output else [])]
        p = subprocess.run(
            [binary("isthmus"), *self.daemon.directories(), *argv],
            text=True,
            capture_output=True,
            input=input,
            timeout=timeout,
        )
        if check and p.returncode:
            raise LabError(
                f"{self.name}: isthmus {' '.join(argv)}: exit {p.returncode}: {(p.stderr or p.stdout).strip()}"
            )
        if not json_output:
            return p
        try:
            return json.loads(p.stdout)
        except ValueError:
            raise LabError(
                f"{self.name}: isthmus {' '.join(argv)}: exit {p.returncode}, "
                f"not JSON: {p.stdout[:200]!r} {p.stderr[:500]!r}"
            ) from None

    def apply(self, text, check=True, dry_run=False):
        """`isthmus apply` of a text; the CompletedProcess."""
        path = os.path.join(os.path.dirname(self.daemon.config), "apply.yaml")
        with open(path, "w") as f:
            f.write(text)
        return self.isthmus("apply", path, *(["--dry-run"] if dry_run else []), check=check)

    def request(self, method, path, body=None):
        """The API without our own client: (HTTP status, body)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(10)
            s.connect(os.path.join(self.daemon.run_dir, "isthmus.sock"))
            connection = http.client.HTTPConnection("localhost")
            connection.sock = s
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metrics(self):
        """OpenMetrics as {"name{labels}": value}."""
        _, text = self.request("GET", "/metrics")
        return {m[1]: float(m[2]) for m in re.finditer(r"^([a-z][^\s{]*(?:\{[^}]*\})?) ([0-9.e+-]+)", text, re.M)}

    def get(self, kind, *argv):
        """The items of `isthmus get KIND -o json`."""
        found = self.isthmus("get", kind, *argv, json_output=True)
        return found["items"] if isinstance(found, dict) else found

    def drops(self):
        """reason -> packets, summed over all CPUs."""
        return {d["name"]: d["packets"] for d in self.get("drops")}

    def wait_up(self, timeout=5):
        self.isthmus("status", "--wait", "--timeout", f"{timeout}s", timeout=timeout + 5)

    def bpf_ids(self):
        """Identifiers of the programs on this node's hooks, to see whether anything was written."""
        return sorted(re.findall(r" id (\d+)", self.ns.tc("filter", "show", "dev", self.uplink, "ingress")))
