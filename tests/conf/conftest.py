# SPDX-License-Identifier: Apache-2.0
"""Runs conf-check, the small program that has conf/ and nothing else."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("ISTHMUS_BUILD", ROOT / "build"))


@pytest.fixture(scope="session")
def conf_check():
    program = BUILD / "tests" / "unit" / "conf-check"
    assert program.exists(), f"{program} is not built (ISTHMUS_BUILD names the build directory)"

    def run(*arguments, cwd=HERE, **more):
        return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, check=False, timeout=60, **more)
    return run


def sources(path):
    """The arguments for a file: itself and, where there is one, the run-time ports beside it."""
    runtime = path.with_suffix(".runtime.yaml")
    return [path.name, runtime.name] if runtime.exists() else [path.name]


def configurations(folder):
    return sorted(p for p in (HERE / folder).glob("*.yaml") if not p.name.endswith(".runtime.yaml"))
