#!/usr/bin/env python3
"""Holds the includes against ARCHITECTURE.md: direction, between folders and between those of kernels/, TBB in one file,
vector code in kernels/ alone, headers at the doors that export what they declare, no functions of the C library whose bits differ between machines, no variables in functions
that keep a state (tests/globals_test.cmake finds those outside), and a reference, tests and
a benchmark beside every kernel family; and the folders themselves: tests/ mirrors them, and none has more files than can be
looked over."""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHAIN = ["core", "kernels", "module", "layers", "formats", "models", "inference", "data", "images", "training"]
# What the files of a folder may include of hwynn/…
MAY_INCLUDE = {
    "core": ["core"],
    "kernels": ["core", "kernels"],
    "kernels/reference": ["core", "kernels", "kernels/reference"],
    "module": ["core", "kernels", "module"],
    "layers": ["core", "kernels", "module", "layers"],
    "formats": ["core", "kernels", "module", "formats"],
    "models": ["core", "module", "layers", "formats", "models"],
    "inference": ["core", "kernels", "module", "formats", "inference"],
    "data": ["core", "formats", "data"],
    "images": ["core", "kernels", "formats", "data", "images"],
    "training": [folder for folder in CHAIN if folder != "images"],
    "apps": CHAIN + ["apps"],
    "examples": CHAIN + ["examples"],
    "tests": CHAIN + ["kernels/reference", "apps", "tests"],
    "fuzz": CHAIN + ["apps", "fuzz", "tests"],
    "bench": CHAIN + ["kernels/reference", "bench"],
}
TBB_FILES = ["core/parallel.cc", "examples/embed_arena.cc"]
# Headers at the door of kernels/ that declare no kernels: rules that families share, and other ways to call kernels.
NO_KERNELS = ["conv2d_plan", "padding", "precision", "target"]
# A header in a folder of kernels/ is for kernels/ alone, and for its tests and benchmarks.
INSIDE = re.compile(r"hwynn/(kernels/(?!reference/)\w+)/")
# Folders of kernels/ that families share; a family knows these and itself.
SHARED_BY_FAMILIES = ["simd"]
# Headers at the doors that aren't installed (cmake/Install.cmake).
NOT_INSTALLED = ["core/thread_scratch.h"]
MOST_FILES = 40  # of code in a folder: more are two folders
# The C library's, which round differently between versions, systems and CPUs. core/math.h has what the library needs.
INEXACT = re.compile(r"\bstd::((?:exp2?|expm1|log(?:1p|2|10)?|pow|a?(?:sin|cos|tan)h?|atan2|erfc?|cbrt|hypot|[lt]gamma)[fl]?)\(")
STATE = re.compile(r"^[ \t]+static (?!const)[^(\n]*[;={]", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def folder_of(name):
    return "kernels/reference" if name.startswith("kernels/reference/") else name.split("/")[0]


def errors_of(name, text):
    folder = folder_of(name)
    for include in INCLUDE.findall(text):
        inside = INSIDE.match(include)
        if inside and folder not in ("kernels", "tests", "bench"):
            yield f"{name}: {inside[1]} is for kernels/ alone: include a header of kernels/ itself"
        if inside and folder == "kernels" and name.count("/") == 2:
            family, other = name.split("/")[1], inside[1].split("/")[1]
            if other != family and (family in SHARED_BY_FAMILIES or other not in SHARED_BY_FAMILIES):
                yield f"{name}: kernels/{family}/ may not include {include}"
        if include.startswith("hwynn/") and folder_of(include[6:]) not in MAY_INCLUDE[folder]:
            yield f"{name}: {folder}/ may not include {include}"
        if include.startswith(("tbb/", "oneapi/")) and name not in TBB_FILES and folder != "tests":
            yield f"{name}: TBB belongs in core/parallel.cc"
        if include.startswith("hwy/") and folder not in ("kernels", "tests", "bench"):
            yield f"{name}: Highway belongs in kernels/"
    if folder in CHAIN + ["apps"]:
        for function in INEXACT.findall(text):
            yield f"{name}: std::{function} isn't the same on every machine: see core/math.h"
        for line in STATE.findall(text):
            yield f"{name}: {line.strip()} keeps a state between calls: make it const, or its caller's"
    if folder in CHAIN and re.fullmatch(r"\w+/\w+\.h", name) and name not in NOT_INSTALLED:
        if re.search(r"^namespace hwynn\b", text, re.MULTILINE):
            yield f"{name}: stands at the door: namespace HWYNN_EXPORT hwynn (core/export.h)"
    if folder == "kernels" and not name.endswith("-inl.h"):
        # In a .cc the part before HWY_ONCE is compiled for every target; what follows, and headers, once.
        once = text.partition("#if HWY_ONCE")[2] or text
        if re.search(r"\bhn::", once):
            yield f"{name}: vector code outside -inl.h and the dispatch block"


def errors_of_folders(named):
    """Of the folders that hold `named`: too many files, and tests of a file that isn't where they say."""
    for folder, count in sorted(collections.Counter(name.rpartition("/")[0] for name in named).items()):
        if count > MOST_FILES:
            yield f"{folder}/: {count} files; more than {MOST_FILES} are two folders"
    for name in named:
        found = re.fullmatch(r"tests/(core|kernels|module|layers|formats|models|inference|data|images|training)/(\w+)_test\.cc", name)
        if found and not any(f'#include "hwynn/{found[1]}/' in line for line in named[name].splitlines()):
            yield f"{name}: tests nothing of {found[1]}/, whose folder it stands in"


def main():
    files = sorted(p for folder in MAY_INCLUDE for p in (ROOT / folder).rglob("*") if p.suffix in (".h", ".cc"))
    named = {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in files}
    errors = [error for name, text in named.items() for error in errors_of(name, text)]
    errors += errors_of_folders(named)
    for family in sorted(p.stem for p in (ROOT / "kernels").glob("*.h")):
        if family.endswith("-inl"):
            errors.append(f"kernels/{family}.h: vector code belongs in a folder of kernels/")
        elif family not in NO_KERNELS:
            wanted = f"kernels/reference/{family}.h", f"tests/kernels/{family}*_test.cc", f"bench/{family}*_bench.cc"
            errors += [f"kernels/{family}.h: {glob} is missing" for glob in wanted if not any(ROOT.glob(glob))]
    sys.exit("\n".join(errors) if errors else 0)


if __name__ == "__main__":
    main()
