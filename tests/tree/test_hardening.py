# SPDX-License-Identifier: Apache-2.0
"""Row H3: what protects isthmusd and isthmus is read off the programs themselves, as built and as installed.

The checks are held to be able to fail: a small program is compiled with everything, and then with one flag less each.
"""
import json
import os
import pathlib
import platform
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ISTHMUS_BUILD", ROOT / "build"))
PROGRAMS = {"isthmusd": "src/agent/isthmusd", "isthmus": "src/cli/isthmus"}
X86 = platform.machine() == "x86_64"

# With FORTIFY no compiler calls these any more: their formats are always checked.
FORMATS = {"printf", "fprintf", "vprintf", "vfprintf", "dprintf", "vdprintf", "asprintf", "vasprintf"}
# Checked where the compiler knows the size; some of it it learns only at run time, which is what level 3 is for.
SIZES = {"__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk", "__sprintf_chk"}


def output(*argv):
    return subprocess.run([*map(str, argv)], check=True, capture_output=True, text=True).stdout


def imports(path):
    return set(re.findall(r" UND (\w+)", output("readelf", "--dyn-syms", "-W", path)))


def function(path, name):
    """The instructions of a function."""
    code = output("objdump", "-d", "--no-show-raw-insn", f"--disassemble={name}", path)
    return [line.split("\t", 1)[1].strip() for line in code.splitlines() if re.match(r"\s+[0-9a-f]+:\t", line)]


def pie(path):
    return "DYN" in output("readelf", "-hW", path) and "PIE" in output("readelf", "-dW", path)


def relro(path):
    return "GNU_RELRO" in output("readelf", "-lW", path)


def bind_now(path):
    return bool(re.search(r"FLAGS_1.*\bNOW\b", output("readelf", "-dW", path)))


def stack_not_executable(path):
    return bool(re.search(r"GNU_STACK\s.*\sRW\s", output("readelf", "-lW", path)))


def code_apart_from_data(path):
    """No page is both written and run, and the headers are not in one with code."""
    loads = re.findall(r"LOAD\s+(?:0x[0-9a-f]+\s+){5}(R?W?\s?E?)\s", output("readelf", "-lW", path))
    return loads[0].strip() == "R" and not any("W" in f and "E" in f for f in loads)


def no_search_path(path):
    return not re.search(r"\((RPATH|RUNPATH)\)", output("readelf", "-dW", path))


def no_text_relocations(path):
    return "TEXTREL" not in output("readelf", "-dW", path)


def stack_protector(path):
    return "__stack_chk_fail" in imports(path)


def fortified(path):
    found = imports(path)
    return not found & FORMATS and bool(found & SIZES)


def cet_note(path):
    return bool(re.search(r"x86 feature:.*IBT.*SHSTK", output("readelf", "-nW", path)))


def landing_pads(path):
    """The linker writes the note because it is told to: main shows whether the code keeps what it promises."""
    return function(path, "main")[0].startswith("endbr")


CHECKS = {
    "PIE": pie,
    "RELRO": relro,
    "BIND_NOW": bind_now,
    "stack not executable": stack_not_executable,
    "code apart from data": code_apart_from_data,
    "no search path": no_search_path,
    "no text relocations": no_text_relocations,
    "stack protector": stack_protector,
    "FORTIFY": fortified,
    **({"CET note": cet_note, "CET landing pads": landing_pads} if X86 else {}),
}


def missing(path):
    return [name for name, check in CHECKS.items() if not check(path)]


@pytest.fixture(scope="module")
def commands():
    """The compiler's arguments for each file of the programs; tests compile some of them once more, their own way."""
    with open(BUILD / "compile_commands.json") as f:
        return {c["file"]: c["command"].split() for c in json.load(f) if c["output"].startswith("src/")}


@pytest.fixture(scope="module")
def wanted(commands):
    """What a program of this build may lack: sanitizers replace FORTIFY."""
    return ["FORTIFY"] if any("-fsanitize=" in a for c in commands.values() for a in c) else []


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_as_built_has_all_of_it(name, wanted):
    assert [m for m in missing(BUILD / PROGRAMS[name]) if m not in wanted] == []


def test_the_programs_as_installed_have_all_of_it(wanted, tmp_path):
    output("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", tmp_path)
    found = {p.name: p for p in tmp_path.rglob("isthmus*") if p.name in PROGRAMS and os.access(p, os.X_OK) and p.is_file()}
    assert set(found) == set(PROGRAMS)
    for path in found.values():
        assert [m for m in missing(path) if m not in wanted] == [], path


def test_every_file_is_compiled_with_fortify_3_and_optimised(commands, wanted):
    """The symbols do not tell level 2 from 3, and without optimisation there is neither."""
    assert len(commands) > 50
    for name, c in commands.items():
        level = [a for a in c if a.startswith(("-D_FORTIFY_SOURCE", "-U_FORTIFY_SOURCE"))]
        assert wanted or level[-1:] == ["-D_FORTIFY_SOURCE=3"], name
        assert [a for a in c if re.match("-O", a)][-1] in ("-O2", "-O3", "-Os", "-O1"), name


PROGRAM = """
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
	char copy[64];
	snprintf(copy, sizeof(copy), "%s", argv[0]);
	memcpy(copy, argv[0], strlen(argv[0]));
	return printf("%s", copy);
}
"""
FLAGS = ["-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-Wl,-z,relro", "-Wl,-z,now",
         "-Wl,-z,noexecstack", "-Wl,-z,separate-code"] + (["-fcf-protection=full", "-Wl,-z,ibt", "-Wl,-z,shstk"] if X86 else [])
WEAKER = {  # what takes the protection away: what is missed then
    "-no-pie": {"PIE"},
    "-Wl,-z,norelro": {"RELRO"},
    "-Wl,-z,lazy": {"BIND_NOW"},
    "-Wl,-z,execstack": {"stack not executable"},
    "-Wl,-z,noseparate-code": {"code apart from data"},
    "-Wl,-rpath,/tmp": {"no search path"},
    "-fno-stack-protector": {"stack protector"},
    "-U_FORTIFY_SOURCE": {"FORTIFY"},
    **({"-fcf-protection=none": {"CET landing pads"}} if X86 else {}),
}


def compile_with(flags, path):
    subprocess.run(["cc", *flags, "-x", "c", "-", "-o", path], input=PROGRAM, text=True, check=True)
    return set(missing(path))


def test_a_program_with_every_flag_passes(tmp_path):
    assert compile_with(FLAGS, tmp_path / "program") == set()


@pytest.mark.parametrize("flag", WEAKER)
def test_a_flag_that_is_dropped_is_missed(flag, tmp_path):
    assert WEAKER[flag] <= compile_with([*FLAGS, flag], tmp_path / "program")


if X86:

    def test_a_cet_note_that_is_dropped_is_missed(tmp_path):
        flags = [f for f in FLAGS if f not in ("-Wl,-z,ibt", "-Wl,-z,shstk")]
        assert compile_with(flags, tmp_path / "program") == {"CET note"}
