# SPDX-License-Identifier: Apache-2.0
"""Row R5: a daemon that stands still.  The data plane goes on; the watchdog ends it and it is started again.

    w1 r1 -- dc1 -- wan -- aws1 -- w2 r2

120 s of SIGSTOP are `make soak CASE=stop120`; here 10.  The supervisor is played as systemd does it: WATCHDOG_USEC is
given, and when WATCHDOG=1 stays away for so long, SIGABRT (with SIGCONT), later SIGKILL, then a new start.
"""
import configparser
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import processor_seconds

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak.stop120 import make_fabric, stopped  # noqa: E402

from lab.host import UdpStream  # noqa: E402
from lab.room import Lab  # noqa: E402
from lab.run import PATIENCE, command, for_as_long_as, wait_until  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WATCHDOG = 3.0  # seconds; what the unit says is ten times that


@pytest.fixture(scope="module")
def lab():
    with Lab(make_fabric()) as lab:
        yield lab


class Supervisor:
    """systemd in small, for one daemon whose NOTIFY_SOCKET the lab listens to already."""

    def __init__(self, daemon, watchdog, environment=None):
        self.daemon, self.watchdog = daemon, watchdog
        self.environment = {"WATCHDOG_USEC": str(int(watchdog * 1e6)), **(environment or {})}
        self.pings, self.aborted, self.killed = [], [], 0
        self._start()

    def _start(self):
        # systemd names the process in WATCHDOG_PID too; ours is not known before it runs, and unset means "any".
        self.daemon.start(environment=self.environment)
        self.pings.append(time.monotonic())

    def turn(self):
        """One look: take what was said, and act when nothing was.  True when it was started again."""
        now = time.monotonic()
        while "WATCHDOG=1" in self.daemon.notified:
            self.daemon.notified.remove("WATCHDOG=1")
            self.pings.append(now)
        if now - self.pings[-1] <= self.watchdog:
            return False
        self.aborted.append(now)
        self.daemon.signal(signal.SIGABRT)
        self.daemon.signal(signal.SIGCONT)
        try:
            self.daemon.process.wait(self.watchdog)
        except subprocess.TimeoutExpired:
            self.killed += 1
        self.daemon.kill9()
        self._start()
        return True


@pytest.fixture
def supervised(lab):
    """Returns a function that starts dc1's daemon under a supervisor; afterwards it runs as everywhere else."""
    node = lab.node("dc1")

    def start(environment=None):
        node.daemon.stop()
        return Supervisor(node.daemon, WATCHDOG, environment)

    yield start
    node.daemon.restart()
    node.wait_up()


def test_the_unit_asks_for_a_watchdog():
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(os.path.join(ROOT, "debian", "isthmusd.service"))
    service = unit["Service"]
    assert service["Type"] == "notify" and service["WatchdogSec"] == "30"
    assert service["Restart"] in ("on-failure", "always", "on-watchdog", "on-abnormal"), "or nobody starts it again"


def test_ten_seconds_of_standing_still_lose_nothing(lab, record_property):
    reports, took = stopped(lab, lab.node("dc1"), 10)
    record_property("packets sent", sum(r["sent"] for r in reports))
    print(f"{sum(r['sent'] for r in reports)} packets sent, lost {[r['lost'] for r in reports]}, back in {took:.2f} s")
    assert [(r["lost"], r["duplicates"]) for r in reports] == [(0, 0)] * len(reports)


def test_a_daemon_at_work_is_left_alone(lab, supervised):
    s = supervised()
    for_as_long_as(2 * WATCHDOG, lambda: not s.turn(), "a daemon that feeds its watchdog", every=0.02)
    assert len(s.pings) >= 4


def test_the_watchdog_is_fed_at_half_of_its_time(lab, supervised):
    """sd_watchdog_enabled(3).  Told less than the supervisor waits, as the machine stands still now and then."""
    s = supervised({"WATCHDOG_USEC": "600000"})
    wait_until(lambda: s.turn() or len(s.pings) > 12, 10, "its words", every=0.005)
    gaps = sorted(b - a for a, b in zip(s.pings[1:], s.pings[2:]))
    assert 0.2 <= gaps[len(gaps) // 2] <= 0.4, gaps


def hung_and_back(lab, supervisor, hang):
    """Seconds from the hang until the abort, and until the next daemon was ready; the stream must lose nothing."""
    stream = UdpStream(lab.host("w1"), lab.host("w2"))
    back = UdpStream(lab.host("w2"), lab.host("w1"), v6=True)
    stream.wait_flowing()
    back.wait_flowing()
    before = supervisor.daemon.process.pid
    hang()
    start = time.monotonic()
    wait_until(supervisor.turn, 3 * WATCHDOG + 10, "the watchdog", every=0.02)
    took = time.monotonic() - start
    assert supervisor.daemon.process.pid != before
    lab.node("dc1").wait_up()
    stream.wait_flowing()
    reports = [stream.stop(), back.stop()]
    assert [(r["lost"], r["duplicates"]) for r in reports] == [(0, 0)] * 2
    return supervisor.aborted[-1] - start, took


def test_a_stopped_daemon_is_started_again_in_time(lab, supervised, record_property):
    s = supervised()
    aborted, ready = hung_and_back(lab, s, lambda: s.daemon.signal(signal.SIGSTOP))
    record_property("abort s", round(aborted, 2))
    record_property("ready s", round(ready, 2))
    print(f"SIGSTOP: aborted after {aborted:.2f} s, ready after {ready:.2f} s of {WATCHDOG:g}; killed {s.killed} times")
    assert s.killed == 0, "SIGABRT is enough"
    # The last word came before the hang, so the time is up within WatchdogSec of it.
    assert aborted <= WATCHDOG + 0.5 * PATIENCE and ready - aborted <= 3 * PATIENCE


# Linked before libc: while the word in the file is its process, reading what the kernel tells never ends.
HANG = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
static const volatile int *hung;
static ssize_t (*real)(int, struct msghdr *, int);
__attribute__((constructor)) static void before_the_sandbox(void)
{
	hung = mmap(NULL, sizeof(*hung), PROT_READ, MAP_SHARED, open(getenv("HANG_FILE"), O_RDONLY), 0);
	real = (ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	while (*hung == getpid())
		;
	return real(fd, message, flags);
}
"""


def test_a_daemon_that_hangs_in_its_loop_does_not_feed_the_watchdog(lab, supervised):
    """It runs, and takes all of a processor, but gets nowhere: no WATCHDOG=1 comes, and it is ended."""
    node = lab.node("dc1")
    library, file = (os.path.join(lab.run.directory, n) for n in ("hang.so", "hang"))
    command(["cc", "-shared", "-fPIC", "-O2", "-x", "c", "-", "-o", library, "-ldl"], input=HANG)
    with open(file, "wb") as f:
        f.write(bytes(4))
    s = supervised({"LD_PRELOAD": library, "HANG_FILE": file, "ASAN_OPTIONS": "verify_asan_link_order=0"})
    said = []

    def hang():
        before = processor_seconds(node.daemon.process.pid)
        with open(file, "r+b") as f:
            f.write(node.daemon.process.pid.to_bytes(4, sys.byteorder))
        node.ns.ip("link set w1 mtu 1449\nlink set w1 mtu 1450")  # something to read for it
        wait_until(lambda: processor_seconds(node.daemon.process.pid) > before + 0.2, 5, "a daemon that spins")
        s.turn()
        said.append(len(s.pings))

    aborted, ready = hung_and_back(lab, s, hang)
    print(f"hung in its loop: aborted after {aborted:.2f} s, ready after {ready:.2f} s of {WATCHDOG:g}")
    assert len(s.pings) == said[0] + 1, "not a word from the hung one, and then the start of the next"
    assert aborted <= WATCHDOG + 0.5 * PATIENCE and s.killed == 0
