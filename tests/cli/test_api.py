# SPDX-License-Identifier: Apache-2.0
"""The socket: who may do what, what is refused and how, and that nobody can hold up the others."""
import contextlib
import http.client
import json
import os
import shutil
import socket
import stat
import statistics
import subprocess
import time

import pytest

from lab.node import binary
from lab.run import wait_until

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534"]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def request(cli, method, target, body=None, headers=None):
    c = Connection(cli.socket)
    with contextlib.closing(c):
        c.request(method, target, body, headers or {})
        r = c.getresponse()
        return r.status, r.headers, r.read().decode()


def error(reply):
    status, headers, body = reply
    e = json.loads(body)["error"]
    assert headers["Content-Type"] == "application/json" and e["message"] and e["code"].startswith("IST-")
    return status, e["code"], e


def test_what_the_description_promises_is_there(cli):
    """Every GET of the OpenAPI description answers, with a body of the kind it names."""
    status, _, body = request(cli, "GET", "/v1/openapi.json")
    description = json.loads(body)
    assert status == 200 and description["openapi"].startswith("3.1")
    names = {
        "sites": "dc",
        "nodes": "dc1",
        "tenants": "red",
        "networks": "red/web",
        "ports": "web1",
        "macs": "02:00:00:00:00:01",
        "hosts": "10.0.1.11",
        "routes": "red/10.0.1.0/24",
        "drops": "no_host",
        "schema": "Port",
        "neighbors": "aws1",
        "received": "aws1",
        "advertised": "198.18.2.11",
        "why": "10.0.1.11",
    }
    looked = 0
    for path, operations in description["paths"].items():
        assert set(operations) <= {"get", "post", "delete"}
        for method, operation in operations.items():
            assert operation["summary"] and operation["responses"]["default"]
        if "get" not in operations or path in ("/v1/tunnels/{name}", "/v1/peers/{name}"):
            # nothing is encrypted here: tests/lab/test_keys.py, test_peers.py
            continue
        target = path.replace("{name}", names.get(path.removeprefix("/v1/bgp").removeprefix("/v1").split("/")[1], ""))
        status, headers, body = request(cli, "GET", target)
        assert status == 200, target
        content = operations["get"]["responses"]["200"]["content"]
        if "application/json" in content:
            reference = content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert reference in description["components"]["schemas"]
            assert json.loads(body)["kind"] == reference
        looked += 1
    assert looked >= 25


def test_names_may_be_percent_encoded(cli):
    for target in ("/v1/networks/red/web", "/v1/networks/red%2Fweb", "/v1/networks/red%2fweb/"):
        assert json.loads(request(cli, "GET", target)[2])["name"] == "red/web"


@pytest.mark.parametrize(
    "method, target, status, code",
    [
        ("GET", "/v1/prots", 404, "IST-4004"),
        ("GET", "/", 404, "IST-4004"),
        ("GET", "/v1/ports/nix", 404, "IST-4041"),
        ("GET", "/v1/hosts/10.9.9.9", 404, "IST-4041"),
        ("GET", "/v1/hosts/not-an-address", 404, "IST-4041"),
        ("GET", "/v1/ports/%zz", 400, "IST-4000"),
        ("GET", "/v1/ports/a%00b", 400, "IST-4000"),
        ("GET", "/v1/ports?stream=%", 400, "IST-4001"),
        ("GET", "/v1/ports?" + "&".join(f"stream={i}" for i in range(40)), 400, "IST-4001"),
        ("GET", "/v1/ports?steam", 400, "IST-4002"),
        ("GET", "/v1/ports?stream=perhaps", 400, "IST-4003"),
        ("POST", "/v1/ports/web1", 405, "IST-4005"),
        ("PUT", "/v1/apply", 405, "IST-4005"),
        ("BREW", "/v1/apply", 405, "IST-4005"),
        ("DELETE", "/v1/ports/nix", 404, "IST-4041"),
        ("DELETE", "/v1/ports/web1", 409, "IST-4009"),
    ],
)
def test_refusals_are_json_with_a_code(cli, method, target, status, code):
    assert error(request(cli, method, target))[:2] == (status, code)


def test_a_misspelt_dry_run_changes_nothing(cli):
    before = json.loads(request(cli, "GET", "/v1/status")[2])["generation"]
    assert error(request(cli, "POST", "/v1/apply?dryrun", "version: 1\n"))[:2] == (400, "IST-4002")
    assert json.loads(request(cli, "GET", "/v1/status")[2])["generation"] == before


def test_a_long_path_does_not_push_dry_run_out_of_the_request(cli):
    """The path is part of the request and comes before dry_run: a request cut short would be a real apply."""
    text = cli.ok("get", "all", "-o", "yaml")
    with open(os.path.join(cli.directory, "long.yaml"), "w") as f:
        f.write("# another text is another generation\n" + text)
    before = json.loads(request(cli, "GET", "/v1/status")[2])["generation"]
    path = os.path.join(cli.directory, "./" * 1500 + "long.yaml")
    cli.ok("apply", path, "--dry-run")
    cli.ok("diff", path)
    assert json.loads(request(cli, "GET", "/v1/status")[2])["generation"] == before


def test_what_has_a_very_long_name_is_remembered_as_well(own_cli):
    text = own_cli.ok("get", "all", "-o", "yaml")
    wanted = text.replace("10.0.1.11", "10.0.1.99")
    assert wanted != text and request(own_cli, "POST", "/v1/apply?name=" + "n" * 6000, wanted)[0] == 200
    own_cli.node.daemon.restart()
    assert "10.0.1.99" in own_cli.ok("get", "ports")


def test_a_refused_configuration_names_every_place(cli):
    status, code, e = error(request(cli, "POST", "/v1/apply?name=f.yaml&dry_run", "version: 1\nfabirc: {}\nsites: 3\n"))
    assert (status, code) == (422, "IST-4022")
    assert {"file", "line", "column", "path", "code", "message"} <= set(e["details"][0])
    assert any(d["file"] == "f.yaml" and d["line"] == 2 for d in e["details"])


def test_a_large_body_is_refused_clearly(cli):
    assert error(request(cli, "POST", "/v1/apply?dry_run", b"#" * (9 << 20)))[:2] == (413, "IST-4013")


def test_a_client_that_asks_first_is_spared_the_large_body(cli):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(cli.socket)
        s.sendall(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_large_chunked_body_is_refused_clearly(cli):
    assert error(request(cli, "POST", "/v1/apply?dry_run", (b"#" * 65536 for _ in range(150))))[:2] == (413, "IST-4013")


def test_lists_stream_line_by_line(cli):
    status, headers, body = request(cli, "GET", "/v1/ports?stream")
    assert status == 200 and headers["Content-Type"] == "application/jsonl"
    assert [json.loads(line)["kind"] for line in body.splitlines()] == ["Port"] * 3


def test_a_connection_serves_many_requests(cli):
    c = Connection(cli.socket)
    with contextlib.closing(c):
        for target in ("/v1/status", "/v1/ports", "/v1/nix", "/metrics") * 5:
            c.request("GET", target)
            assert c.getresponse().read()


def test_head_has_no_body(cli):
    assert request(cli, "HEAD", "/v1/status")[::2] == (200, "")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff" * 500,
        b"GET\r\n\r\n",
        b"GET /v1/status HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01" + b"a" * 300,
        b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_garbage_hurts_nobody(cli, garbage):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(cli.socket)
        s.sendall(garbage)
        s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while s.recv(65536):
                pass
    assert request(cli, "GET", "/v1/status")[0] == 200


def typical(cli):
    """Seconds that an answer takes, the middle one: any single one may wait for a processor that somebody else has."""
    times = []
    for _ in range(9):
        start = time.monotonic()
        assert request(cli, "GET", "/v1/status")[0] == 200
        times.append(time.monotonic() - start)
    return statistics.median(times)


def test_slow_clients_do_not_delay_others(cli):
    slow = []
    with contextlib.ExitStack() as stack:
        for i in range(150):
            s = stack.enter_context(socket.socket(socket.AF_UNIX))
            s.connect(cli.socket)
            s.sendall(
                b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nver" if i % 2 else b"GET /v1/sta"
            )
            slow.append(s)
        assert typical(cli) < 0.1
        # Who feeds drop by drop is cut off all the same: within 10 seconds and one turn of the reaper.
        slow[0].settimeout(0.1)

        def cut_off():
            try:
                slow[0].sendall(b"t")
                return slow[0].recv(100) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(cut_off, 15, "the slow client is cut off")


def test_a_burst_of_connections_is_over_when_it_is_over(cli):
    """More than are served at once: when they have gone, the next is served at once."""
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.connect(cli.socket)
            s.settimeout(5)
            s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 200 ")  # the newest has a place, others made room
        assert typical(cli) < 1


def test_a_reader_that_stops_reading_does_not_hold_up_others(cli):
    with socket.socket(socket.AF_UNIX) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(cli.socket)
        s.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40)
        assert typical(cli) < 0.1


def test_the_socket_is_for_root_and_the_group(cli):
    st = os.stat(cli.socket)
    assert stat.S_IMODE(st.st_mode) == 0o660 and st.st_uid == 0


def test_a_second_daemon_leaves_the_socket_alone(cli):
    d = cli.node.daemon
    p = subprocess.run(
        cli.node.ns.argv(
            [
                binary("isthmusd"),
                "--node",
                "dc1",
                "--config",
                d.config,
                "--run-dir",
                d.run_dir,
                "--state-dir",
                d.state_dir + "2",
                "--bpf-dir",
                d.bpf_dir + "2",
            ]
        ),
        capture_output=True,
        text=True,
        timeout=10,
    )
    shutil.rmtree(d.state_dir + "2", ignore_errors=True)
    assert p.returncode != 0
    assert request(cli, "GET", "/v1/status")[0] == 200


def test_strangers_are_turned_away(cli):
    p = cli.run("status", prefix=[*NOBODY, "--clear-groups"])
    assert p.returncode == 4 and p.stdout == "" and 'join the group "isthmus"' in p.stderr


@pytest.fixture(scope="module")
def group_lab(tmp_path_factory):
    """A daemon that sees a group isthmus (gid 64123), without one being made on this machine: its own /etc/group."""
    from conftest import Cli, make_fabric
    from lab.room import Lab

    groups = tmp_path_factory.mktemp("etc") / "group"
    groups.write_text(open("/etc/group").read() + "isthmus:x:64123:\n")
    with Lab(make_fabric(), start=False) as lab:
        os.chmod(lab.run.directory, 0o755)
        d = lab.nodes["dc1"].daemon
        plain = d.argv
        d.argv = lambda *more: [
            "unshare",
            "-m",
            "sh",
            "-c",
            f'mount --bind {groups} /etc/group && exec "$@"',
            "sh",
            *plain(*more),
        ]
        d.write_config(lab.fabric.yaml())
        d.start()
        d.argv = plain
        yield Cli(lab, "dc1")


def test_group_reads_and_does_not_change(group_lab):
    st = os.stat(group_lab.socket)
    assert (stat.S_IMODE(st.st_mode), st.st_gid) == (0o660, 64123)
    for member in (
        [*NOBODY, "--groups", "64123"],
        ["setpriv", "--reuid", "65534", "--regid", "64123", "--clear-groups"],
    ):
        assert "dc1" in group_lab.ok("status", prefix=member)
        assert "web1" in group_lab.ok("get", "ports", prefix=member)
        for argv in (
            ["apply", "isthmus.yaml"],
            ["apply", "isthmus.yaml", "--dry-run"],
            ["port", "del", "web1", "--yes"],
        ):
            p = group_lab.run(*argv, prefix=member)
            assert p.returncode == 4 and "IST-4032" in p.stderr and "run it as root" in p.stderr
    p = group_lab.run("status", prefix=[*NOBODY, "--clear-groups"])
    assert p.returncode == 4


def test_the_doctor_knows_the_group(group_lab):
    """The daemon cannot read the group file from inside its sandbox; it remembers."""

    def seen(name):
        checks = json.loads(group_lab.run("doctor", "-o", "json").stdout)["checks"]
        return [(c["state"], c["fix"]) for c in checks if c["name"] == name]

    assert seen("group") == [("ok", None)] and seen("socket") == [("ok", None)]
    os.chown(group_lab.socket, 0, 0)
    try:
        assert seen("socket") == [("warn", f"chgrp isthmus {group_lab.socket}")]
    finally:
        os.chown(group_lab.socket, 0, 64123)


def test_who_got_in_without_the_group_gets_403(group_lab):
    """The mode of the socket keeps others out; should it be opened, credentials still do."""
    os.chmod(group_lab.socket, 0o666)
    try:
        p = group_lab.run("status", prefix=[*NOBODY, "--clear-groups"])
        assert p.returncode == 4 and "IST-4031" in p.stderr
    finally:
        os.chmod(group_lab.socket, 0o660)


def test_one_user_cannot_take_all_connections(group_lab):
    """A member who opens hundreds of connections is limited; root goes on."""
    script = (
        "import socket,sys,time\nk=[]\n"
        "for i in range(200):\n s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); k.append(s)\n"
        "print('there',flush=True)\nsys.stdin.read()\n"
    )
    p = subprocess.Popen(
        [*NOBODY, "--groups", "64123", "/usr/bin/python3", "-c", script, group_lab.socket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert p.stdout.readline() == "there\n"
        assert request(group_lab, "GET", "/v1/status")[0] == 200
    finally:
        p.stdin.close()
        p.wait(10)
