#!/usr/bin/env python3
"""The include-table test itself can fail: each rule is broken once in a small tree."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import include_table  # noqa: E402

TABLE = """
| folder | what | may include |
|---|---|---|
| base | leaf | - |
| loop | events | base |
| codec | values | base |
| guest | PID 1 | base codec/tar |

Only `loop` and `base/fd` include Linux headers (`<linux/...>`, `<sys/epoll.h>`).
"""


class IncludeTable(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.write("ARCHITECTURE.md", TABLE)
        for name in ("base/err.h", "base/fd.c", "loop/loop.c", "codec/tar.h", "codec/json.h", "guest/main.c"):
            self.write("src/" + name, "")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def expect(self, *parts):
        found = list(include_table.problems(self.root))
        self.assertEqual(len(found), len(parts), found)
        for text, part in zip(found, parts):
            self.assertIn(part, text)

    def test_allowed_includes_pass(self):
        self.write("src/guest/main.c", '#include "base/err.h"\n#  include "codec/tar.h"\n#include <stdio.h>\n')
        self.write("src/loop/loop.c", "#include <linux/fs.h>\n#include <sys/epoll.h>\n")
        self.write("src/base/fd.c", "#include <linux/openat2.h>\n")
        self.expect()

    def test_folder_that_is_not_in_the_row(self):
        self.write("src/base/err.c", '\n#include "codec/json.h"\n')
        self.expect("src/base/err.c:2: base may not include codec")

    def test_only_the_named_file_of_a_folder(self):
        self.write("src/guest/main.c", '#include "codec/json.h"\n')
        self.expect("guest may not include codec")

    def test_linux_header_elsewhere(self):
        self.write("src/base/err.c", "#include <linux/fs.h>\n")
        self.write("src/codec/tar.c", "#include <sys/epoll.h>\n")
        self.expect("src/base/err.c:1: <linux/fs.h>", "src/codec/tar.c:1: <sys/epoll.h>")

    def test_header_without_its_folder(self):
        self.write("src/base/err.c", '#include "err.h"\n')
        self.expect('include "base/err.h"')

    def test_header_that_does_not_exist(self):
        self.write("src/base/err.c", '#include "base/none.h"\n')
        self.expect("there is no src/base/none.h")

    def test_folder_without_a_row_and_row_without_a_folder(self):
        self.write("src/extra/x.c", "")
        self.write("ARCHITECTURE.md", TABLE.replace("| loop |", "| loops |"))
        self.expect("src/extra has no row", "src/loop has no row", "row for loops")

    def test_cycle(self):
        self.write("ARCHITECTURE.md", TABLE.replace("| base | leaf | - |", "| base | leaf | loop |"))
        self.expect("cycle: base -> loop -> base")


if __name__ == "__main__":
    unittest.main()
