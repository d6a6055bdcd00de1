#!/usr/bin/env python3
"""Holds the README's C++ example against examples/quickstart.cc, which CI compiles and runs: the code block must be
the file without its opening comment."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
block = re.search(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
source = (ROOT / "examples/quickstart.cc").read_text(encoding="utf-8")
source = re.sub(r"\A(//[^\n]*\n)*\n*", "", source)
if not block or block.group(1) != source:
    sys.exit("README.md: the C++ example differs from examples/quickstart.cc")
