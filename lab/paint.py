# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: steps with their outcome, and a table.  Colour only for a person at a terminal (NO_COLOR says
no).
"""
import os
import sys
import time

_colours = {"bold": "1", "dim": "2", "green": "32", "red": "31", "yellow": "33", "cyan": "36"}
_use = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def paint(colour, text):
    return f"\033[{_colours[colour]}m{text}\033[0m" if _use else text


class Step:
    """with Step("doing this") as s: ...; s.done("what came of it").  One line, written as it goes on."""

    def __init__(self, text):
        self.text, self.result = text, None

    def __enter__(self):
        self.start = time.monotonic()
        print(f"  {self.text:<64}", end="", flush=True)
        return self

    def done(self, result, good=True):
        self.result = paint("green" if good else "red", result)

    def __exit__(self, kind, *exc):
        if kind:
            print(paint("red", "failed"))
        else:
            took = time.monotonic() - self.start
            print(
                (self.result or paint("green", "done")) + (paint("dim", f"  {took:.1f} s") if took >= 0.1 else ""),
                flush=True,
            )


def heading(text):
    print("\n" + paint("bold", text))


def table(rows, head):
    """rows: lists of text; the last column is a verdict (True, False or None = no verdict)."""
    shown = [[*r[:-1], {True: "ok", False: "FAILED", None: ""}[r[-1]]] for r in rows]
    widths = [max(len(r[i]) for r in [head, *shown]) for i in range(len(head))]
    print("  " + paint("bold", "  ".join(h.ljust(w) for h, w in zip(head, widths))))
    for r, row in zip(shown, rows):
        cells = [c.ljust(w) for c, w in zip(r, widths)]
        if row[-1] is not None:
            cells[-1] = paint("green" if row[-1] else "red", cells[-1])
        print(("  " + "  ".join(cells)).rstrip())
