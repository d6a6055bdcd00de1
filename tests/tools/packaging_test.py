#!/usr/bin/env python3
"""Tests of packaging/: the recipes are of CMake's version, take every folder of the library, and the manual every command."""

import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
import check_layering


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


class PackagingTest(unittest.TestCase):
    def test_versions(self):
        version = re.search(r"project\(hwynn VERSION ([\d.]+)", read("CMakeLists.txt"))[1]
        self.assertEqual(json.loads(read("packaging/vcpkg/hwynn/vcpkg.json"))["version"], version)
        self.assertEqual(re.search(r'^    version = "(.*)"', read("packaging/conan/conanfile.py"), re.MULTILINE)[1], version)
        minor = version.rpartition(".")[0]
        for document in ("docs/packages.md", "docs/abi.md"):
            self.assertIn(f"libhwynn.so.{minor}", read(document))

    def test_conan_takes_every_folder(self):
        folders = re.search(r"^FOLDERS = (\[.*\])", read("packaging/conan/conanfile.py"), re.MULTILINE)[1]
        self.assertEqual(set(json.loads(folders)), set(check_layering.CHAIN) | {"cmake"})

    def test_the_manual_names_every_command(self):
        commands = re.findall(r'add_subcommand\(\s*"([\w-]+)"', "".join(p.read_text(encoding="utf-8") for p in (ROOT / "apps").glob("*.cc")))
        self.assertGreater(len(commands), 5)
        named = re.findall(r"^\.B (\w[\w-]*)$", read("packaging/debian/hwynn.1").replace("\\-", "-"), re.MULTILINE)
        self.assertEqual(set(commands), set(named) - {"hwynn"})


if __name__ == "__main__":
    unittest.main()
