#!/usr/bin/env python3
"""Holds the README against what it repeats: its C++ example is examples/quickstart.cc, which CI compiles and runs,
without the opening comment; its table between the marks "peers" is made from docs/results/peers.json, which
bench/peers/compare.py wrote. --write makes that table anew."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "bench/peers"))
import report

readme = (ROOT / "README.md").read_text(encoding="utf-8")
block = re.search(r"```cpp\n(.*?)```", readme, re.DOTALL)
source = (ROOT / "examples/quickstart.cc").read_text(encoding="utf-8")
source = re.sub(r"\A(//[^\n]*\n)*\n*", "", source)
if not block or block.group(1) != source:
    sys.exit("README.md: the C++ example differs from examples/quickstart.cc")

marks = re.search(r"(<!-- peers -->\n)(.*?)(<!-- /peers -->)", readme, re.DOTALL)
if marks:
    table = report.markdown(json.loads((ROOT / "docs/results/peers.json").read_text(encoding="utf-8"))) + "\n"
    if sys.argv[1:] == ["--write"]:
        readme = readme[:marks.start(2)] + table + readme[marks.end(2):]
        (ROOT / "README.md").write_text(readme, encoding="utf-8")
    elif marks.group(2) != table:
        sys.exit("README.md: the table differs from docs/results/peers.json; python3 tools/check_readme.py --write")
