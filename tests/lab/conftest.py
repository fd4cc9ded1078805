# SPDX-License-Identifier: Apache-2.0
"""Lab scenarios: real daemons, real packets.  Root is needed; the binaries come from $ISTHMUS_BUILD (default ./build).
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the lab makes network namespaces: run it as root", returncode=4)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """When a test fails, show the last words of the daemons of its lab."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for lab in (v for v in getattr(item, "funcargs", {}).values() if hasattr(v, "nodes") and hasattr(v, "run")):
            for node in lab.nodes.values():
                if os.path.exists(node.daemon.log_path):
                    report.sections.append((f"isthmusd on {node.name}", node.daemon.log()[-3000:]))
