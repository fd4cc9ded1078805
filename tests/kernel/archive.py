# SPDX-License-Identifier: Apache-2.0
"""A file system for a guest, as the cpio archive ("newc") that Linux unpacks into memory when it boots.

Files come from the running Debian system by the path that they have there: a program with the libraries that it loads,
a folder with all that is in it.  Times are kept, so that compiled Python stays valid.
"""
import os
import re
import stat
import subprocess

TRAILER = "TRAILER!!!"


class Archive:
    def __init__(self, path):
        self._out = open(path, "wb")
        self._there = set()
        self._inode = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._member(TRAILER, 0, 0, b"")
        self._out.close()

    def _member(self, name, mode, mtime, data):
        self._inode += 1
        raw = name.encode() + b"\0"
        numbers = (self._inode, mode, 0, 0, 1, int(mtime), len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % n for n in numbers) + raw
        self._out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    def _new(self, path):
        """True once per path; makes the folders above it."""
        path = path.strip("/")
        if path in self._there:
            return False
        self._there.add(path)
        above = os.path.dirname(path)
        if above:
            self.folder(above)
        return True

    def folder(self, path):
        if self._new(path):
            self._member(path.strip("/"), stat.S_IFDIR | 0o755, 0, b"")

    def link(self, path, target):
        if self._new(path):
            self._member(path.strip("/"), stat.S_IFLNK | 0o777, 0, target.encode())

    def text(self, path, content, mode=0o644):
        if self._new(path):
            self._member(path.strip("/"), stat.S_IFREG | mode, 0, content.encode())

    def file(self, source, path=None, mode=None):
        """One file, symbolic links followed."""
        if self._new(path or source):
            now = os.stat(source)
            with open(source, "rb") as f:
                self._member((path or source).strip("/"), stat.S_IFREG | (mode or now.st_mode & 0o777), now.st_mtime, f.read())

    def tree(self, source, path=None, skip=()):
        """A folder; `skip`: names of files and folders in it that stay out, wherever they are."""
        path = path or source
        self.folder(path)
        for top, folders, files in os.walk(source):
            folders[:] = [d for d in folders if d not in skip]
            there = path + top[len(source) :]
            for name in files:
                if name not in skip and os.path.isfile(os.path.join(top, name)):
                    self.file(os.path.join(top, name), os.path.join(there, name))

    def libraries(self, *binaries):
        """What these load at their start."""
        p = subprocess.run(["ldd", *binaries], text=True, capture_output=True)
        for library in sorted(set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", p.stdout, re.M))):
            # Debian 12 has merged /lib into /usr/lib, and a folder is not made through a link.
            self.file(library, library if library.startswith("/usr/") else "/usr" + library)

    def program(self, source, path=None):
        self.file(source, path)
        self.libraries(source)
