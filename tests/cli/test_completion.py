# SPDX-License-Identifier: Apache-2.0
"""Completion in real shells on a terminal, with the names of live objects."""
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(isthmus completion bash)"; bind "set bell-style none"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit; compinit -u -D; eval "$(isthmus completion zsh)"; unsetopt BEEP',
    ),
    "fish": (["fish", "--no-config", "-i"], "isthmus completion fish | source"),
}


class Shell:
    """An interactive shell on a pty; what follows a mark is what it printed for our line."""

    def __init__(self, cli, name, home):
        argv, setup = SHELLS[name]
        self.master, slave = pty.openpty()
        env = {
            **cli.environment,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "XDG_DATA_HOME": str(home),
            "PS1": "> ",
            "TERM": "vt100",
        }
        self.process = subprocess.Popen(
            cli.node.ns.argv(argv),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            cwd=cli.directory,
            preexec_fn=lambda: (os.setsid(), __import__("fcntl").ioctl(0, 0x540E, 0)),
        )
        os.close(slave)
        self.text, self.count = "", 0
        self.run(setup)

    def read_until(self, pattern, timeout=10):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], f"no {pattern} in {self.text!r}"
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.text

    def run(self, line):
        """The output of a whole line: completion has run for each tab in it before the line ends."""
        self.count += 1
        self.text = ""
        os.write(self.master, line.encode())
        if "\t" in line:
            self.settle()
        # The mark is broken by quotes, so that the echo of the line does not hold it.
        os.write(self.master, f"; echo ma''rk{self.count}\n".encode())
        return self.read_until(rf"mark{self.count}\r?\n").split(f"ma''rk{self.count}")[-1]

    def settle(self):
        """The shell has nothing more to say: completion is done."""
        while select.select([self.master], [], [], 0.7)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def press(self, keys):
        self.text = ""
        os.write(self.master, keys.encode())
        self.settle()
        text = self.text
        os.write(self.master, b"\x03")  # Ctrl-C: forget the line
        self.settle()
        return text

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)
        os.close(self.master)


@pytest.fixture(scope="module", params=list(SHELLS))
def shell(request, cli, tmp_path_factory):
    s = Shell(cli, request.param, tmp_path_factory.mktemp("home"))
    yield s
    s.close()


def test_a_live_name_is_completed(shell):
    assert '"name": "app1"' in shell.run("isthmus get port ap\t -o json")


def test_a_name_with_a_slash_is_completed(shell):
    assert '"name": "red/web"' in shell.run("isthmus describe network red/w\t -o json")


def test_a_name_with_colons_is_completed(shell):
    assert '"address":"fd00:1::11"' in shell.run("isthmus get hosts red/fd00:\t -o json").replace('": "', '":"')


def test_commands_and_options_are_completed(shell):
    assert "isthmusd 0" in shell.run("isthmus versio\t")
    assert "dc1 OK" in shell.run("isthmus status --brie\t")


def test_choices_are_shown(shell):
    assert {"red/app", "red/web"} <= set(re.findall(r"red/\w+", shell.press("isthmus get networks red/\t\t")))


def test_files_are_completed_where_a_file_goes(shell):
    assert "isthmus.yaml: correct" in shell.run("isthmus check isthmus.y\t")


def test_words_by_context(cli):
    def words(*argv):
        return cli.ok("__complete", *argv).split()

    assert {"status", "get", "port"} <= set(words("")) and words("sta") == ["status"]
    assert words("port", "") == ["add", "del"]
    assert words("get", "ro") == ["routes"] and words("get", "route") == ["routes"]
    assert words("get", "port", "") == ["app1", "web1", "web2"]
    assert words("get", "all", "") == []
    assert words("port", "del", "web") == ["web1", "web2"]
    assert words("port", "add", "x", "--network", "") == ["red/app", "red/web"]
    assert "up0" in words("port", "add", "x", "-i", "")
    assert words("-o", "json", "get", "tenants", "") == ["red"]
    assert words("status", "-o", "j") == ["json", "jsonl"]
    assert words("apply", "") == [":file"]
    assert words("--run-dir", "") == [":directory"]
    assert words("nix", "") == [] and words("get", "nix", "") == []
    assert "--dry-run" in words("apply", "--")
    assert "__complete" not in words("")


def test_live_names_come_in_200_ms(cli):
    best = min(_timed(cli) for _ in range(5))
    assert best < 0.2


def _timed(cli):
    start = time.monotonic()
    assert cli.ok("__complete", "get", "networks", "") == "red/app\nred/web\n"
    return time.monotonic() - start


def test_without_a_daemon_there_are_no_names_and_no_noise(cli, tmp_path):
    p = cli.run("__complete", "get", "ports", "", env={"ISTHMUS_RUN_DIR": str(tmp_path)})
    assert (p.returncode, p.stdout, p.stderr) == (0, "", "")


def test_installed_scripts_are_those_that_the_program_prints(cli, build):
    for shell, name in (("bash", "isthmus"), ("zsh", "_isthmus"), ("fish", "isthmus.fish")):
        with open(os.path.join(build, "src", "cli", "completion", name)) as f:
            assert f.read() == cli.ok("completion", shell)
