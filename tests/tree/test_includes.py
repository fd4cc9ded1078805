# SPDX-License-Identifier: Apache-2.0
"""Folders are layers: who may include whom stands here as data, and every file is held to it."""
import pathlib
import re

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"

# folder: (own folders it may include, libraries' headers it may include beside libc's)
MATRIX = {
    "lib": ((), ()),
    "model": (("lib",), ()),
    "conf": (("lib", "model"), ("yaml.h",)),
    "bgp": (("lib", "model"), ()),
    "rib": (("lib", "model"), ()),
    "wg": (("lib", "model"), ("openssl/core_names.h", "openssl/crypto.h", "openssl/evp.h", "openssl/rand.h", "intel-ipsec-mb.h")),
    "bpf": ((), ("bpf/bpf_helpers.h", "bpf/bpf_endian.h")),
    "dp": (("lib", "model"), ("bpf/bpf.h", "bpf/libbpf.h", "bpf/btf.h")),
    "kern": (("lib", "model"), ("libmnl/libmnl.h",)),
    "api": (("lib", "model"), ("microhttpd.h", "jansson.h")),
    "agent": (("lib", "model", "conf", "bgp", "rib", "wg", "dp", "kern", "api"), ("cap-ng.h", "seccomp.h", "systemd/sd-daemon.h")),
    "cli": (("lib", "model", "conf"), ("curl/curl.h", "jansson.h", "libsmartcols/libsmartcols.h", "libsmartcols.h", "openssl/crypto.h", "openssl/evp.h", "qrencode.h", "yaml.h")),
}
ABI = {"bpf/abi.h"}  # the layout shared with the kernel programs
ABI_READERS = {"dp", "agent"}
GENERATED = {"dp": {"datapath.skel.h"}}
SYSTEM = re.compile(r"^(linux|sys|net|netinet|arpa|asm)/|^[a-z_]+\.h$")
OWN_LIBRARIES = {h for _, libraries in MATRIX.values() for h in libraries}


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match[1] == '"', match[2]


def allowed(folder, quoted, header):
    own, libraries = MATRIX[folder]
    if quoted:
        if header in GENERATED.get(folder, ()) or (header in ABI and folder in ABI_READERS):
            return True
        target = header.split("/")[0] if "/" in header else folder
        return (target == folder or target in own) and ((SRC / header).exists() or (SRC / folder / header).exists())
    if header in libraries:
        return True
    return header not in OWN_LIBRARIES and bool(SYSTEM.match(header))


def test_every_folder_is_in_the_matrix():
    assert {p.name for p in SRC.iterdir() if p.is_dir()} == set(MATRIX)


def test_includes_follow_the_matrix():
    wrong = [f"{path.relative_to(SRC)}:{number}: {path.parent.name}/ may not include {header}"
             for path in sorted(SRC.rglob("*.[ch]"))
             for number, quoted, header in includes(path)
             if not allowed(path.parent.name, quoted, header)]
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_a_wrong_include():
    assert not allowed("lib", True, "model/config.h")
    assert not allowed("rib", True, "dp/datapath.h")
    assert not allowed("rib", True, "bgp/update.h")
    assert not allowed("conf", False, "jansson.h")
    assert not allowed("agent", False, "openssl/evp.h")
    assert not allowed("cli", True, "agent/agent.h")
    assert allowed("dp", True, "bpf/abi.h")
