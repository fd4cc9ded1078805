#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the abi.h of a later version, for the tests of upgrades: next_abi.py src/bpf/abi.h > abi.h

Everything that a version may change at once: the number, the layout of two maps (every field of a host and of a port
lies elsewhere), and one more reason and one more counter behind the last.
"""
import re
import sys


def changed(text):
    def put(pattern, new, source):
        result, n = re.subn(pattern, new, source, flags=re.M)
        if n != 1:
            sys.exit(f"next_abi.py: {pattern!r} stands {n} times in abi.h")
        return result

    version = int(re.search(r"^#define ABI_VERSION (\d+)$", text, re.M)[1])
    text = put(r"^#define ABI_VERSION \d+$", f"#define ABI_VERSION {version + 1}", text)
    text = put(r"^struct abi_host \{$", "struct abi_host {\n\t__u32 later[3];", text)
    text = put(r"^struct abi_port \{$", "struct abi_port {\n\t__u64 later;", text)
    for name in ("DROP_REASONS", "COUNTERS"):
        table = re.search(rf"^#define ABI_{name}\(X\)(?:.*\\\n)+.*\n", text, re.M)[0]
        text = text.replace(table, table.rstrip() + ' \\\n\tX(LATER, "later", "of a later version")\n')
    return text


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        print(changed(f.read()), end="")
