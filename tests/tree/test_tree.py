# SPDX-License-Identifier: Apache-2.0
"""What holds for the tree as a whole: licences, manual pages, executable bits, no stray paths."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tracked(*patterns):
    names = subprocess.check_output(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, text=True).split("\0")
    return [ROOT / n for n in names if n and (ROOT / n).exists()]


def test_every_source_names_its_licence():
    for path in tracked("*.c", "*.h", "*.py", "*.sh", "*.build", "Makefile", "tools/*"):
        head = path.read_text().splitlines()[:3]
        want = "GPL-2.0-only OR BSD-2-Clause" if path.is_relative_to(ROOT / "src/bpf") and path.suffix != ".build" else "Apache-2.0"
        assert any(f"SPDX-License-Identifier: {want}" in line for line in head), path


def test_manual_pages_are_clean():
    """Those in the tree and those that the build made from the program's own tables."""
    build = pathlib.Path(os.environ.get("ISTHMUS_BUILD", ROOT / "build"))
    pages = [p for p in tracked("doc/man/*") if p.suffix != ".in"] + [
        p for p in build.rglob("isthmus*.[158]") if p.is_file()]
    assert {p.name for p in pages} >= {"isthmus.1", "isthmus.yaml.5", "isthmusd.8"}
    for page in pages:
        result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True)
        assert result.stdout + result.stderr == "", page


def test_relative_links_in_documents_lead_somewhere():
    for page in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
