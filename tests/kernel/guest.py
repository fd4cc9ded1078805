#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Boots Debian 12's own kernel (6.1) in QEMU and runs tests in it: `make test-kernel`.

guest.py [--report FILE] [TEST ...]

FILE: where the outcome goes as JSON, too.  TEST: a pytest file of the tree, `bpf` for the unit tests of the programs,
`bpf_NAME` for one of them; default: `bpf`, tests/kernel/test_lab.py and tests/lab/test_wireguard.py, there against
the kernel's own WireGuard.  `bpf` leaves out what takes long when emulated.
KERNEL=/path/vmlinuz takes another kernel (its modules in /lib/modules).

The guest is one archive in memory: the kernel's modules, Python, pytest and the few tools that the lab calls, all copied
from Debian packages on this machine, and the binaries just built.  The processor is emulated (TCG): KVM is not
needed, and would not do where this machine is itself a guest.  The kernel is the installed one of
linux-image-cloud-amd64 or linux-image-amd64; without one it is downloaded (not installed) into the build directory.
"""
import glob
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("ISTHMUS_BUILD", os.path.join(ROOT, "build"))
CACHE = os.path.join(BUILD, "kernel")
DEFAULT = ["bpf", "tests/kernel/test_lab.py", "tests/lab/test_wireguard.py"]
# The second is the same as bpf_NAME here: kernel 6.1 has none of the flags that these runs go without.
NOT_BY_DEFAULT = re.compile("bpf_differential|.*_without_flags")
LIMIT_S = 900  # it takes about two minutes on an idle machine

sys.path.insert(0, HERE)
from archive import Archive  # noqa: E402

# Programs that the guest needs, by the Debian package that has them.
TOOLS = {
    "dash": ["dash"],
    "ethtool": ["ethtool"],
    "iproute2": ["ip", "tc", "bridge", "ss"],
    "iputils-ping": ["ping"],
    "bpftool": ["bpftool"],
    "kmod": ["kmod"],
    "util-linux": ["nsenter"],
    "wireguard-tools": ["wg"],
}
MODULES = "veth dummy bridge vxlan 8021q tun sch_ingress cls_bpf act_bpf sch_netem wireguard".split()
# Python packages of Debian that pytest consists of, and the suite needs.
PACKAGES = "pytest _pytest pluggy iniconfig packaging attr attrs more_itertools py py.py yaml _yaml".split()
KERNEL_PATTERN = "vmlinuz-6.1.*-amd64"


class Missing(Exception):
    """Something has to be installed first; the text says what."""


def find_tool(name, package):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise Missing(f"{name} is missing: apt-get install {package}")
    return path


# ---- the kernel


def newest(paths):
    return max(paths, key=lambda p: [int(n) for n in re.findall(r"\d+", os.path.basename(p))], default=None)


def download_kernel():
    """Fetch and unpack the package; the folder that stands for /."""
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], text=True, capture_output=True).stdout
    found = re.search(r"Depends: (linux-image-6\.1\.\S+)", depends)
    if not found:
        return None
    root = os.path.join(CACHE, found[1])
    if os.path.exists(root):
        return root
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        p = subprocess.run(["apt-get", "-qq", "download", found[1]], cwd=scratch, capture_output=True)
        packages = glob.glob(f"{scratch}/*.deb")
        if p.returncode or not packages:
            return None
        subprocess.run(["dpkg-deb", "-x", packages[0], f"{scratch}/root"], check=True)
        os.rename(f"{scratch}/root", root)
    return root


def find_kernel():
    """(kernel, folder that holds lib/modules, release)"""
    kernel, root = os.environ.get("KERNEL"), "/"
    if not kernel:
        kernel = newest(k for k in glob.glob("/boot/" + KERNEL_PATTERN)
                        if os.path.isdir("/lib/modules/" + os.path.basename(k).removeprefix("vmlinuz-")))
    if not kernel:
        root = download_kernel()
        kernel = root and newest(glob.glob(os.path.join(root, "boot", KERNEL_PATTERN)))
    if not kernel:
        raise Missing("no kernel 6.1 of Debian 12: apt-get install linux-image-cloud-amd64, "
                      "or apt-get update, so that it can be downloaded")
    return kernel, root, os.path.basename(kernel).removeprefix("vmlinuz-")


def add_modules(archive, root, release):
    source = os.path.join(root, "lib/modules", release)
    if not os.path.exists(os.path.join(source, "modules.dep")):
        subprocess.run([find_tool("depmod", "kmod"), "-b", root, release], check=True)
    for module in MODULES:
        p = subprocess.run([find_tool("modprobe", "kmod"), "-d", root, "-S", release, "--show-depends", module],
                           text=True, capture_output=True)
        if p.returncode:
            raise Missing(f"kernel {release} has no module {module}: {p.stderr.strip()}")
        for path in re.findall(r"^insmod (\S+)", p.stdout, re.M):
            archive.file(path, "/lib/modules" + path.split("/lib/modules", 1)[1])
    # All of the index, though most of the modules are not there: nobody asks for those.
    for name in ("dep", "dep.bin", "alias", "alias.bin", "symbols", "symbols.bin", "softdep", "order", "builtin",
                 "builtin.bin", "builtin.alias.bin", "builtin.modinfo"):
        if os.path.exists(f"{source}/modules.{name}"):
            archive.file(f"{source}/modules.{name}", f"/lib/modules/{release}/modules.{name}")


# ---- the file system


def add_python(archive):
    real = os.path.realpath("/usr/bin/python3")
    library = f"/usr/lib/{os.path.basename(real)}"
    archive.program(real)
    archive.link("/usr/bin/python3", real)
    skip = {d for d in os.listdir(library) if d.startswith("config-")} | {"test", "idlelib", "lib2to3", "pydoc_data",
                                                                         "distutils", "ensurepip"}
    archive.tree(library, skip=skip)
    archive.libraries(*glob.glob(f"{library}/lib-dynload/*.so"))
    for name in PACKAGES:
        path = "/usr/lib/python3/dist-packages/" + name
        if os.path.isdir(path):
            archive.tree(path)
        elif os.path.exists(path):
            archive.file(path)
        else:
            raise Missing(f"{path} is missing: apt-get install python3-pytest python3-yaml")
    archive.libraries(*glob.glob("/usr/lib/python3/dist-packages/yaml/*.so"))


def add_system(archive):
    for folder in ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/lib", "/var/tmp"):
        archive.folder(folder)
    for name in ("bin", "sbin", "lib", "lib64"):  # Debian 12 has merged them into /usr
        archive.link("/" + name, "usr/" + name)
    for package, names in TOOLS.items():
        for name in names:
            path = find_tool(name, package)
            archive.program(path, "/usr" + path if not path.startswith("/usr") else path)
    archive.link("/usr/bin/sh", "dash")
    for name in ("modprobe", "depmod", "lsmod"):
        archive.link("/usr/sbin/" + name, "/usr/bin/kmod")
    archive.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    archive.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    archive.text("/etc/hosts", "127.0.0.1 localhost\n")


def unit_tests(chosen):
    """Programs of the suite `bpf` as meson knows them."""
    tests = json.loads(subprocess.check_output(["meson", "introspect", BUILD, "--tests"], text=True))
    tests = [t for t in tests if any(s.split(":")[-1] == "bpf" for s in t["suite"])]
    return [t for t in tests
            if t["name"] in chosen or ("bpf" in chosen and not NOT_BY_DEFAULT.fullmatch(t["name"]))]


def add_tests(archive, tests):
    inside = lambda path: "/isthmus/build" + path.removeprefix(BUILD)  # noqa: E731
    plan = {"programs": [], "pytest": [t for t in tests if not t.startswith("bpf")], "timeout": LIMIT_S}
    for t in unit_tests(tests):
        archive.program(t["cmd"][0], inside(t["cmd"][0]))
        plan["programs"].append({"name": t["name"], "argv": [inside(t["cmd"][0]), *t["cmd"][1:]], "env": t["env"]})
    for path in ("src/agent/isthmusd", "src/cli/isthmus", "tests/lab/lab-wg-tunnel", "tests/lab/lab-wg-peer"):
        archive.program(os.path.join(BUILD, path), "/isthmus/build/" + path)
    for folder in ("lab", "tests", "examples"):
        archive.tree(os.path.join(ROOT, folder), "/isthmus/" + folder, skip={"__pycache__", "corpus", ".pytest_cache"})
    archive.text("/plan.json", json.dumps(plan))
    archive.file(os.path.join(HERE, "init.py"), "/init", 0o755)


# ---- the machine


def boot(kernel, initrd, report):
    qemu = find_tool("qemu-system-x86_64", "qemu-system-x86")
    line = "-nodefaults -no-user-config -no-reboot -nographic -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536"
    append = "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable mitigations=off random.trust_cpu=on"
    argv = [qemu, *line.split(), "-kernel", kernel, "-initrd", initrd, "-append", append,
            "-serial", "stdio", "-serial", f"file:{report}"]
    p = subprocess.Popen(argv, text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    try:
        return p.communicate(timeout=LIMIT_S)[0]
    except subprocess.TimeoutExpired:
        p.kill()
        return p.communicate()[0] + f"\nguest.py: no end after {LIMIT_S} s"


def read_report(path, console):
    rows, ended = [], False
    with open(path, errors="replace") as f:
        for line in f:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the guest died while it wrote
            ended = ended or "end" in row
            if "name" in row:
                rows.append((f"6.1: {row['name']}", row["passed"], row["output"]))
    if not ended:
        rows.append(("6.1: the guest came to its end", False, console))
    return rows


def rows(tests):
    """Runs them, shows the console, and returns a list of (name, passed, output)."""
    try:
        if platform.machine() != "x86_64":
            raise Missing(f"the guest is an amd64 machine, and this is {platform.machine()}: not written yet")
        os.makedirs(CACHE, exist_ok=True)
        kernel, root, release = find_kernel()
        with tempfile.TemporaryDirectory(prefix="guest-", dir=CACHE) as scratch:
            initrd, report = f"{scratch}/initrd", f"{scratch}/report"
            with Archive(initrd) as archive:
                add_system(archive)
                add_modules(archive, root, release)
                add_python(archive)
                add_tests(archive, tests or DEFAULT)
            console = boot(kernel, initrd, report)
            print(console)
            return read_report(report, console)
    except Missing as e:
        return [("6.1: set-up", False, str(e))]


def main():
    arguments = sys.argv[1:]
    path = arguments[1] if arguments[:1] == ["--report"] else None
    found = rows(arguments[2:] if path else arguments)
    if path:
        with open(path, "w") as f:
            json.dump(found, f)
    bad = [r for r in found if not r[1]]
    for name, _, output in bad:
        print(f"FAILED {name}\n{output}")
    print(f"{len(found) - len(bad)} passed, {len(bad)} failed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
