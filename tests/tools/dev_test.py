#!/usr/bin/env python3
"""Tests of ./dev: its help names every verb, and every verb runs in a CI job."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class DevTest(unittest.TestCase):
    def setUp(self):
        self.script = (ROOT / "dev").read_text(encoding="utf-8")
        self.help = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
        self.verbs = set(re.findall(r"^  (\w+) ", self.help, re.MULTILINE))

    def test_help_names_what_is_dispatched(self):
        cases = re.findall(r"^  ([\w |-]+)\)", self.script[self.script.rindex("\ncase "):], re.MULTILINE)
        dispatched = {word for case in cases for word in case.replace("|", " ").split() if not word.startswith("-")}
        self.assertEqual(self.verbs, dispatched)

    def test_every_verb_runs_in_a_ci_job(self):
        jobs = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
        scripts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / ".ci").iterdir()}
        text = jobs + "".join(body for name, body in scripts.items() if f".ci/{name}" in jobs)
        for verb in self.verbs - {"help"}:
            self.assertRegex(text, rf"\./dev {verb}\b")

    def test_an_unknown_verb_is_an_error(self):
        result = subprocess.run([ROOT / "dev", "tset"], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("unknown verb 'tset'", result.stderr)


if __name__ == "__main__":
    unittest.main()
