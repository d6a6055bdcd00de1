#!/usr/bin/env python3
"""Tests of tools/slips.py: what is drawn, where, and that it is the same for a seed."""

import itertools
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
import slips

SOURCE = """\
#include "a < b.h"
// if (a < b) Foo(a, b);
constexpr int64_t kBlock = 64;
int64_t Parts(int64_t total, const char* name) {
  Check(total >= 0, "Parts: total (", total, ") < 0");
  int64_t parts = total + 1;
  double sum = 0.0;
  Foo(total, "a, b");
  sum += static_cast<double>(parts) * 0.1;
  const EvenSplit split(total, kBlock);
  return std::min(parts, Bar(parts, kBlock)) > 3 ? 1 : 0;
}
"""


def of_kind(kind, text=SOURCE):
    changed = []
    for slip in slips.slips_of(text):
        if slip.kind == kind:
            after = slip.apply(text).removeprefix(slip.prefix)
            line = text.count("\n", 0, slip.begin)
            changed.append(after.split("\n")[line].strip())
    return changed


class SlipsTest(unittest.TestCase):
    def test_masking_keeps_every_offset(self):
        text = 'a("x\\"(");  // (\n#define B \\\n  (\n\'(\' 1\'000 R"(()" /* (\n */ b'
        code = slips.masked(text)
        self.assertEqual(len(code), len(text))
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertEqual(code.split(), ['a("', '");', "'", "'", "1'000", 'R', '"', "b"])

    def test_operators(self):
        found = of_kind("operator")
        self.assertIn('Check(total < 0, "Parts: total (", total, ") < 0");'.replace("<", ">", 1), found)
        self.assertIn("int64_t parts = total - 1;", found)
        self.assertIn("sum -= static_cast<double>(parts) * 0.1;", found)
        self.assertIn("return std::max(parts, Bar(parts, kBlock)) > 3 ? 1 : 0;", found)
        self.assertFalse([line for line in found if "include" in line or line.startswith("//")])

    def test_a_condition_is_turned_round_with_its_strings(self):
        self.assertIn('if (!(a == "b")) c();', of_kind("operator", 'void F() {\n  if (a == "b") c();\n}\n'))

    def test_constants(self):
        found = of_kind("constant")
        self.assertIn("int64_t parts = total + 2;", found)
        self.assertIn("int64_t parts = total + 0;", found)
        self.assertIn("sum += static_cast<double>(parts) * 0.2;", found)
        self.assertIn("constexpr int64_t kBlock = 65;", found)

    def test_statements_that_go(self):
        found = [slip for slip in slips.slips_of(SOURCE) if slip.kind == "drop"]
        self.assertEqual([SOURCE[slip.begin:slip.end].split("(")[0].split(" ")[0] for slip in found], ["Check", "Foo", "sum"])

    def test_a_dropped_statement_keeps_the_lines(self):
        text = "void F() {\n  Foo(a,\n      b);\n  G();\n}\n"
        after = next(slip for slip in slips.slips_of(text) if slip.kind == "drop").apply(text)
        self.assertEqual(after, "void F() {\n  ;\n\n  G();\n}\n")

    def test_swaps_take_the_strings_along_and_leave_declarations(self):
        self.assertEqual(of_kind("swap"), ['Foo("a, b", total);', "const EvenSplit split(kBlock, total);",
                                           "return std::min(parts, Bar(kBlock, parts)) > 3 ? 1 : 0;"])

    def test_floats(self):
        found = of_kind("float")
        self.assertIn("sum += static_cast<float>(parts) * 0.1;", found)
        self.assertIn("sum += static_cast<double>(parts) * 0.1f;", found)
        self.assertIn("float sum = 0.0;", found)
        self.assertEqual(len(found), 3)

    def test_threads(self):
        self.assertEqual(of_kind("threads"),
                         ["const EvenSplit split(total, (hwynn::CurrentThreadLimit() * kBlock));",
                          "return std::min(parts, Bar(parts, (hwynn::CurrentThreadLimit() * kBlock))) > 3 ? 1 : 0;"])

    def test_a_seed_always_draws_the_same_and_nothing_twice(self):
        files = {"kernels/a.cc": SOURCE, "data/b.cc": SOURCE}
        first, again, other = (list(slips.draw(files, seed)) for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertEqual(len(set(first)), len(first))
        self.assertEqual(set(first), set(other))
        self.assertEqual({name for name, _ in itertools.islice(first, 20)}, set(files))

    def test_every_kind_has_places_in_this_tree(self):
        kinds = set()
        for path in (ROOT / "kernels").rglob("*.cc"):
            kinds |= {slip.kind for slip in slips.slips_of(path.read_text(encoding="utf-8"))}
        self.assertEqual(kinds, set(slips.KINDS))


if __name__ == "__main__":
    unittest.main()
