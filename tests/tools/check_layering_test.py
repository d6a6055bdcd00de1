#!/usr/bin/env python3
"""Tests of tools/check_layering.py: each rule is broken once."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
import check_layering


class CheckLayeringTest(unittest.TestCase):
    def expect(self, name, include, text):
        line = f'#include "{include}"\n' if "/" in include else include
        errors = list(check_layering.errors_of(name, line))
        self.assertEqual(bool(errors), bool(text), errors)
        if text:
            self.assertIn(text, errors[0])

    def test_folders_point_one_way(self):
        self.expect("layers/conv.cc", "hwynn/kernels/conv2d.h", None)
        self.expect("kernels/pool/pool.cc", "hwynn/layers/pool.h", "kernels/ may not include")
        self.expect("formats/msgpack.cc", "hwynn/module/variables.h", None)
        self.expect("formats/msgpack.cc", "hwynn/layers/conv.h", "formats/ may not include")
        self.expect("module/scope.cc", "hwynn/layers/conv.h", "module/ may not include")
        self.expect("formats/msgpack.cc", "hwynn/models/resnet.h", "formats/ may not include")
        self.expect("kernels/pool/pool.cc", "hwynn/kernels/reference/pool.h", "kernels/ may not include")
        self.expect("apps/train.cc", "hwynn/examples/flax_program.h", "apps/ may not include")

    def test_what_is_inside_kernels_stays_there(self):
        self.expect("layers/conv.cc", "hwynn/kernels/conv2d/direct.h", "for kernels/ alone")
        self.expect("tests/kernels/conv2d_test.cc", "hwynn/kernels/conv2d/direct.h", None)

    def test_families_of_kernels_know_what_is_shared_and_themselves(self):
        self.expect("kernels/conv2d/direct.cc", "hwynn/kernels/simd/tail-inl.h", None)
        self.expect("kernels/conv2d/direct.cc", "hwynn/kernels/conv2d/window.h", None)
        self.expect("kernels/conv2d/direct.cc", "hwynn/kernels/pool.h", None)
        self.expect("kernels/conv2d/direct.cc", "hwynn/kernels/pool/pool-inl.h", "kernels/conv2d/ may not include")
        self.expect("kernels/simd/tail-inl.h", "hwynn/kernels/conv2d/window.h", "kernels/simd/ may not include")

    def test_libraries_stand_in_their_places(self):
        self.expect("layers/conv.cc", "tbb/parallel_for.h", "TBB belongs in core/parallel.cc")
        self.expect("core/parallel.cc", "tbb/parallel_for.h", None)
        self.expect("layers/conv.cc", "hwy/highway.h", "Highway belongs in kernels/")
        self.expect("kernels/pool/pool.cc", "#if HWY_ONCE\nhn::Add(a, b);\n", "vector code outside")
        self.expect("kernels/pool/pool.cc", "hn::Add(a, b);\n#if HWY_ONCE\n", None)

    def test_nothing_is_kept_between_calls(self):
        self.expect("data/idx.cc", "  static int calls = 0;\n", "keeps a state")
        self.expect("data/idx.cc", "  static std::mutex mutex;\n", "keeps a state")
        self.expect("data/idx.cc", "  static const int kCalls = 0;\n  static int64_t Bytes(int n) { return n; }\n", None)
        self.expect("tests/data/idx_test.cc", "  static int calls = 0;\n", None)

    def test_headers_at_the_doors_export(self):
        self.expect("formats/msgpack.h", "namespace hwynn {\n", "HWYNN_EXPORT")
        self.expect("formats/msgpack.h", "namespace hwynn::msgpack {\n", "HWYNN_EXPORT")
        self.expect("formats/msgpack.h", "namespace HWYNN_EXPORT hwynn {\n", None)
        self.expect("kernels/pool/pool_geometry.h", "namespace hwynn {\n", None)
        self.expect("formats/msgpack.cc", "namespace hwynn {\n", None)
        self.expect("apps/image.h", "namespace hwynn {\n", None)

    def test_folders(self):
        full = {f"layers/f{i}.h": "" for i in range(check_layering.MOST_FILES)}
        self.assertEqual(list(check_layering.errors_of_folders(full)), [])
        full["layers/one_more.cc"] = ""
        self.assertEqual(len(list(check_layering.errors_of_folders(full))), 1)

    def test_tests_stand_where_what_they_test_does(self):
        text = '#include "hwynn/data/idx.h"\n'
        self.assertEqual(list(check_layering.errors_of_folders({"tests/data/idx_test.cc": text})), [])
        self.assertEqual(len(list(check_layering.errors_of_folders({"tests/training/idx_test.cc": text}))), 1)


if __name__ == "__main__":
    unittest.main()
