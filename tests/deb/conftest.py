# SPDX-License-Identifier: Apache-2.0
"""Packages are tested as root, with the lab around them."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the packages are installed in a root of their own: run it as root", returncode=4)
