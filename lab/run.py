# SPDX-License-Identifier: Apache-2.0
"""Commands, conditions, and undoing: the ground that the lab stands on.

Every lab is one `Run`: a prefix for the names of its namespaces, a directory for its files, and a stack of things to
undo. The stack is emptied when the lab ends, at exit, and on SIGINT, SIGTERM and SIGHUP.  What a run has made is also
written to a record under /run/isthmus-lab, so that `python3 -m lab clean` can remove what a killed run left: it
touches only runs whose process is gone, and ends only processes that stand in the record and are still the same ones
(pid and start time).
"""
import atexit
import ctypes
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

RECORDS = "/run/isthmus-lab"
PATIENCE = float(os.environ.get("LAB_PATIENCE", "1"))  # factor on every time limit, for slow (emulated) machines
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()
_live = []
_pause = threading.Event()  # never set: wait() on it is the one place where the lab lets time pass


class LabError(Exception):
    """Something that the lab needed did not happen; the text says what, and what was seen instead."""


def wait_until(condition, timeout=5.0, what=None, every=0.01):
    """Wait until condition() is true and return its value; an exception inside it counts as false until the time is
    up.
    """
    end = time.monotonic() + timeout * PATIENCE
    while True:
        problem = None
        try:
            value = condition()
            if value:
                return value
        except (LabError, OSError, KeyError, ValueError, subprocess.SubprocessError) as e:
            problem = e
        if time.monotonic() >= end:
            raise LabError(
                f"not within {timeout:g} s: {what or getattr(condition, '__doc__', None) or 'condition'}"
                + (f" ({problem})" if problem else f" (last: {value!r})")
            )
        _pause.wait(every)


def for_as_long_as(seconds, condition, what, every=0.01):
    """The opposite of wait_until: condition() must hold all the time.  Returns how often it was looked at."""
    end, looks = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        if not condition():
            raise LabError(f"did not hold for {seconds:g} s: {what}")
        looks += 1
        _pause.wait(every)
    return looks


def _start_time(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def _mounts_below(directory):
    with open("/proc/self/mounts") as f:
        points = [line.split()[1].replace("\\040", " ") for line in f]
    return sorted((p for p in points if p == directory or p.startswith(directory + "/")), key=len, reverse=True)


def _remove_directory(directory):
    for point in _mounts_below(directory):
        _libc.umount2(point.encode(), 2)  # MNT_DETACH
    shutil.rmtree(directory, ignore_errors=True)


def _remove_namespaces(names):
    # One batch; the kernel takes the devices inside down in the background.
    names = [n for n in names if os.path.exists(f"/run/netns/{n}")]
    if names:
        subprocess.run(
            ["ip", "-force", "-batch", "-"],
            input="".join(f"netns del {n}\n" for n in names),
            text=True,
            stderr=subprocess.DEVNULL,
        )


def _forget(record):
    for remove, path in ((os.unlink, record), (os.rmdir, RECORDS)):
        try:
            remove(path)
        except OSError:  # gone already, or another run has its record there
            pass


class Run:
    """One lab's names, files, processes, and the way back."""

    def __init__(self, keep=False):
        """keep: what is started may outlive this process, if leave() is called."""
        self.prefix = f"ist{os.getpid()}{chr(97 + next(_serial) % 26)}"
        self.directory = tempfile.mkdtemp(prefix=f"{self.prefix}-")
        self.namespaces = []
        self.processes = []
        self._undo = []
        self._lock = threading.Lock()
        self._record = os.path.join(RECORDS, self.prefix + ".json")
        self.keep, self.left = keep, False
        _live.append(self)
        self.write_record()

    def write_record(self):
        with self._lock:
            body = {
                "pid": os.getpid(),
                "start": _start_time(os.getpid()),
                "directory": self.directory,
                "namespaces": self.namespaces,
                "left": self.left,
                "processes": [[p.pid, p.started] for p in self.processes if p.poll() is None],
            }
            os.makedirs(RECORDS, mode=0o700, exist_ok=True)
            with open(self._record + ".new", "w") as f:
                json.dump(body, f)
            os.rename(self._record + ".new", self._record)

    def on_close(self, fn, *args):
        """Call fn(*args) when the lab ends; last registered, first called."""
        self._undo.append((fn, args))

    def spawn(self, argv, **options):
        """Start a process that dies with us and is ended when the lab ends."""

        def die_with_parent():
            _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

        options.setdefault("stdin", subprocess.DEVNULL)
        # A session of its own: Ctrl-C at the terminal is for us alone, we end the others in order.
        p = subprocess.Popen(argv, preexec_fn=None if self.keep else die_with_parent, start_new_session=True, **options)
        p.started = _start_time(p.pid)
        self.processes.append(p)
        self.write_record()
        return p

    def end(self, p, sig=signal.SIGTERM, timeout=5):
        """End one of our processes and wait for it; SIGKILL when it does not listen."""
        if p.poll() is None:
            p.send_signal(sig)
            try:
                p.wait(timeout)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait(timeout)
        if p in self.processes:
            self.processes.remove(p)
        return p.returncode

    def close(self):
        """Undo everything.  Goes on after an error and is harmless when called again."""
        if self not in _live:
            return
        _live.remove(self)
        while self._undo:
            fn, args = self._undo.pop()
            try:
                fn(*args)
            except Exception as e:  # one broken step must not keep the others from being undone
                print(f"lab: while removing: {e!r}")
        for p in self.processes:
            if p.poll() is None:
                p.terminate()
        for p in list(self.processes):
            self.end(p)
        _remove_namespaces(self.namespaces)
        _remove_directory(self.directory)
        _forget(self._record)

    def leave(self):
        """KEEP=1: forget the run without undoing it; `python3 -m lab clean --kept` removes it."""
        self.left = True
        self.write_record()
        _live.remove(self)


def _close_all():
    for r in reversed(list(_live)):
        r.close()


def _on_signal(number, frame):
    # An exception unwinds `with` blocks and fixtures first; atexit does the rest.
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def handle_signals():
    """End in the same orderly way on SIGTERM and SIGHUP as on Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _on_signal)


atexit.register(_close_all)


def clean(kept=False, out=print):
    """Remove what dead runs left (with `kept`, also what KEEP=1 left).  Returns the number of runs removed."""
    removed = 0
    for name in sorted(os.listdir(RECORDS)) if os.path.isdir(RECORDS) else []:
        if not name.endswith(".json"):
            continue
        with open(os.path.join(RECORDS, name)) as f:
            r = json.load(f)
        if _start_time(r["pid"]) == r["start"] or (r["left"] and not kept):
            continue
        for pid, started in r["processes"]:
            if started is not None and _start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid, started=started: _start_time(pid) != started, 5, f"process {pid} gone")
        _remove_namespaces(r["namespaces"])
        _remove_directory(r["directory"])
        _forget(os.path.join(RECORDS, name))
        out(f"removed {name[:-5]}: {len(r['namespaces'])} namespaces")
        removed += 1
    return removed


def command(argv, timeout=30, check=True, input=None):
    """Run to the end; returns the CompletedProcess with text output, or raises LabError with what the command said."""
    p = subprocess.run(argv, text=True, input=input, capture_output=True, timeout=timeout * PATIENCE)
    if check and p.returncode:
        raise LabError(f"{' '.join(argv)}: exit {p.returncode}: {(p.stderr or p.stdout).strip()}")
    return p
