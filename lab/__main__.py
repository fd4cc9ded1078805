# SPDX-License-Identifier: Apache-2.0
"""python3 -m lab clean [--kept]: remove what earlier runs left behind."""
import sys

from lab.run import clean

if sys.argv[1:2] != ["clean"] or set(sys.argv[2:]) - {"--kept"}:
    sys.exit(
        "usage: python3 -m lab clean [--kept]\n"
        "  removes namespaces, processes and files of runs that are dead; with --kept also those of KEEP=1"
    )
if not clean(kept="--kept" in sys.argv):
    print("nothing to remove")
