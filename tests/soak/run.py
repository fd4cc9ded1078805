#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Long runs: each case goes on for as long as it is told to, and every bound is checked at the end.

run.py [--time SECONDS] [CASE ...]      default: every case, one hour each; `run.py --list` says what there is

A case is a file beside this one, called like the case, with a docstring whose first line says what it does, and

    def soak(seconds): ...

which works for about so long and returns its figures as a list of Figure (what, value, unit, bound).  A bound is a
text like "= 0" or "< 1": run.py judges by it, so a figure cannot be printed without being held to it.  An exception
fails the case.  Short forms of the same cases are in `make test`: tests/lab imports them.
"""
import argparse
import ast
import collections
import importlib
import operator
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.dirname(TESTS), TESTS, os.path.join(TESTS, "lab")]

Figure = collections.namedtuple("Figure", "what value unit bound", defaults=("", ""))

_operators = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(figure):
    """Does the figure keep its bound?  One without a bound is only told."""
    if not figure.bound:
        return True
    sign, limit = figure.bound.split()
    return _operators[sign](figure.value, float(limit))


def line(figure):
    value = f"{figure.value:,.3f}".rstrip("0").rstrip(".") if isinstance(figure.value, float) else f"{figure.value:,}"
    bound = f" (must be {figure.bound})" if figure.bound else ""
    return f"{'ok  ' if holds(figure) else 'FAIL'} {figure.what}: {value} {figure.unit}".rstrip() + bound


def cases():
    """name -> first line of the docstring"""
    found = {}
    for name in sorted(os.listdir(HERE)):
        path = os.path.join(HERE, name)
        if not name.endswith(".py") or name in ("run.py", "__init__.py"):
            continue
        with open(path) as f:
            tree = ast.parse(f.read(), path)
        if any(isinstance(n, ast.FunctionDef) and n.name == "soak" for n in tree.body):
            found[name[:-3]] = (ast.get_docstring(tree) or "").split("\n")[0]
    return found


def run_case(name, seconds):
    start = time.monotonic()
    print(f"{name}: {seconds} s", flush=True)
    try:
        figures = importlib.import_module(f"soak.{name}").soak(seconds)
        good = bool(figures) and all(map(holds, figures))
        for f in figures:
            print(f"  {line(f)}", flush=True)
        if not figures:
            print("  FAIL the case returned no figure", flush=True)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        good = False
    print(f"{name}: {'passed' if good else 'FAILED'} after {time.monotonic() - start:.0f} s", flush=True)
    return good


def main():
    known = cases()
    parser = argparse.ArgumentParser(description="Runs long cases of the test suite.")
    parser.add_argument("--time", type=int, default=3600, metavar="SECONDS", help="for each case [3600]")
    parser.add_argument("--list", action="store_true", help="say which cases there are")
    parser.add_argument("case", nargs="*", help="default: all")
    asked = parser.parse_args()
    if asked.list:
        for name, text in known.items():
            print(f"{name:10} {text}")
        return
    unknown = [c for c in asked.case if c not in known]
    if unknown:
        sys.exit(f"run.py: no case named {unknown[0]}; there are: {' '.join(known)}")
    if os.geteuid() != 0:
        sys.exit("run.py: the cases make network namespaces and load BPF programs: run as root")
    failed = [c for c in asked.case or known if not run_case(c, asked.time)]
    print(f"{len(asked.case or known) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
