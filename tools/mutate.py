#!/usr/bin/env python3
"""Plants small slips in a copy of the sources, one at a time, and says which of them no test sees:

    tools/mutate.py N SEED [--only PATH…] [--tests REGEX] [--jobs J] [--fresh]      (or ./dev mutate N SEED)

The copy and its build stand in build/mutate/; nothing else is written, so go on working meanwhile. For each slip (see
slips.py) what it touches is built, with -O1 and for one instruction set, then tests run: first those that mean the
file, then the rest, until one fails. N slips are counted that compile to other code; what doesn't compile, and what
compiles to the same code, is drawn past and reported apart. build/mutate/log-SEED.jsonl has a line for each: a run that
was stopped goes on there, and --report prints the summary of what is in it. The exit code is 0 when all were caught.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import difflib
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import slips

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build/mutate"
TREE = WORK / "tree"
BUILD = TREE / "build/mutate"
# One instruction set, AVX2 on x86, so that kernels compile quickly. Shared libraries: a slip relinks one.
CMAKE = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG", "-DHWYNN_SHARED_FOLDERS=ON",
         "-DCMAKE_LINK_DEPENDS_NO_SHARED=ON", "-DHWYNN_BUILD_BENCHMARKS=OFF", "-DHWYNN_INSTALL=OFF"]
if platform.machine() == "x86_64":
    CMAKE.append("-DCMAKE_CXX_FLAGS=-DHWY_COMPILE_ONLY_STATIC -march=haswell")
LIMITS = {resource.RLIMIT_AS: 12 << 30, resource.RLIMIT_FSIZE: 1 << 30, resource.RLIMIT_CORE: 0}


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def must(command, **options):
    result = run(command, **options)
    if result.returncode != 0:
        sys.exit(f"mutate: {' '.join(map(str, command))} failed:\n{result.stdout[-4000:]}")
    return result.stdout


def sync():
    """Makes TREE what the working tree is now; files that are equal keep their times, so that builds are short."""
    names = must(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]).splitlines()
    wanted = {name for name in names if (ROOT / name).is_file()}
    for path in list(TREE.rglob("*")):
        if path.is_file() and BUILD not in path.parents and path.relative_to(TREE).as_posix() not in wanted:
            path.unlink()
    for name in wanted:
        source, target = ROOT / name, TREE / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def sources(only):
    found = {}
    for folder in slips.FOLDERS:
        for path in sorted((TREE / folder).rglob("*")):
            name = path.relative_to(TREE).as_posix()
            if path.suffix in (".h", ".cc") and "/reference/" not in name and (
                    not only or any(name.startswith(prefix) for prefix in only)):
                found[name] = path.read_text(encoding="utf-8")
    return found


class Test:
    def __init__(self, entry):
        self.name = entry["name"]
        self.command = entry["command"]
        properties = {p["name"]: p["value"] for p in entry.get("properties", [])}
        self.directory = properties.get("WORKING_DIRECTORY", str(BUILD))
        self.seconds = 60.0


class Bench:
    """The built copy: builds, runs tests, and remembers what the objects of the unharmed sources are."""

    def __init__(self, jobs, tests):
        self.jobs = jobs
        self.wanted = tests
        self.targets = ["all"]
        self.tests = {}
        self.objects = {}

    def prepare(self):
        launcher = shutil.which("ccache")  # going back to the unharmed file costs nothing then
        extra = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}"] if launcher else []
        must(["cmake", "-S", str(TREE), "-B", str(BUILD), *CMAKE, *extra, *os.environ.get("HWYNN_CMAKE_ARGS", "").split()])
        if self.wanted:  # programs have the names of their tests
            self.targets = [entry["name"].removeprefix("example_") for entry in self.listed()]
        output = self.build(self.targets)
        if output is not None:
            sys.exit(f"mutate: the sources don't build:\n{output[-4000:]}")
        self.tests = {entry["name"]: Test(entry) for entry in self.listed()}
        started = time.time()
        for test in self.tests.values():
            begin = time.time()
            if not self.passes(test):
                sys.exit(f"mutate: {test.name} fails without a slip")
            test.seconds = time.time() - begin
        self.objects = {path: digest(path) for path in BUILD.rglob("*.o")}
        print(f"{len(self.tests)} tests pass in {time.time() - started:.0f} s", flush=True)

    def listed(self):
        """What ctest knows of the tests wanted; their commands only once they are built."""
        listed = json.loads(must(["ctest", "--test-dir", str(BUILD), "--show-only=json-v1"]))
        return [entry for entry in listed["tests"] if re.search(self.wanted, entry["name"])]

    def build(self, targets):
        """None, or what the compiler says."""
        result = run(["ninja", "-C", str(BUILD), "-j", str(self.jobs), *targets])
        return None if result.returncode == 0 else result.stdout

    def changed_code(self, since):
        """Whether an object that was compiled since then differs from that of the unharmed sources."""
        return any(digest(path) != self.objects.get(path) for path in BUILD.rglob("*.o") if path.stat().st_mtime >= since)

    def passes(self, test, stop=None):
        temporary = WORK / "tmp"
        temporary.mkdir(exist_ok=True)
        # Time on a CPU ends loops without end, whatever else the machine does; time on the clock ends what only waits.
        limits = {**LIMITS, resource.RLIMIT_CPU: int(30 + 10 * test.seconds)}
        with open(os.devnull, "w", encoding="utf-8") as null:
            process = subprocess.Popen(test.command, cwd=test.directory, stdin=subprocess.DEVNULL, stdout=null, stderr=null,
                                       env={**os.environ, "TMPDIR": str(temporary)}, start_new_session=True,
                                       preexec_fn=lambda: set_limits(limits))
            deadline = time.time() + 120 + 30 * test.seconds
            while process.poll() is None and time.time() < deadline and not (stop and stop.is_set()):
                time.sleep(0.02)
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            return process.wait() == 0

    def first_failure(self, names):
        """The name of a test that fails, of those named, or None. A few at a time; one failure ends them all."""
        stop, failed = threading.Event(), []

        def one(name):
            if not stop.is_set() and not self.passes(self.tests[name], stop) and not stop.is_set():
                stop.set()
                failed.append(name)

        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(one, names))
        shutil.rmtree(WORK / "tmp", ignore_errors=True)
        return failed[0] if failed else None

    def ordered(self, name):
        """(those that mean the file `name`, the rest), each the quickest first."""
        near, rest = [], []
        for test in sorted(self.tests.values(), key=lambda t: t.seconds):
            (near if means(test.name, name) else rest).append(test.name)
        return near, rest


def set_limits(limits):
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))


def digest(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def stem(name):
    return re.sub(r"(-inl)?\.\w+$", "", name.split("/")[-1])


def means(test, name):
    """Whether tests/<folder>/<test>.cc is of the source `name`: by its name, or since it includes the header."""
    found = list((TREE / "tests").glob(f"*/{test}.cc"))
    if not found:
        return test == f"replay_{stem(name)}"
    if found[0].parent.name in ("apps", "examples"):  # these start programs that are built with the rest
        return False
    folder, *_, = name.split("/")
    family = name.split("/")[1] if name.count("/") == 2 else stem(name)  # kernels/conv2d/winograd.cc is of conv2d
    if found[0].parent.name == folder and (test.startswith((stem(name), family)) or stem(name).startswith(test[:-5])):
        return True
    return re.search(rf'#include "hwynn/{folder}/{family}\.h"', found[0].read_text(encoding="utf-8")) is not None


def difference(name, before, after):
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), name, name, n=1, lineterm="")
    return "\n".join(line for line in lines if line not in ("+namespace hwynn { int CurrentThreadLimit(); }", "+#line 1"))


def judge(bench, name, text, slip):
    """The verdict on one slip, as a dictionary; the copy is whole again afterwards."""
    path, after, begin = TREE / name, slip.apply(text), time.time()
    verdict = {"file": name, "kind": slip.kind, "diff": difference(name, text, after)}
    near, rest = bench.ordered(name)
    try:
        path.write_text(after, encoding="utf-8")
        programs = [test for test in near if (BUILD / "bin" / test).exists()]
        for targets, tests in ((programs, near), (bench.targets, rest)):
            if not targets:
                continue
            output = bench.build(targets)
            if output is not None:
                error = re.search(r"^.*error: .*$", output, re.MULTILINE)
                return {**verdict, "verdict": "uncompilable", "why": error[0] if error else output[-300:]}
            if not bench.changed_code(begin):
                continue
            failed = bench.first_failure(tests)
            if failed:
                return {**verdict, "verdict": "caught", "by": failed}
        return {**verdict, "verdict": "survived" if bench.changed_code(begin) else "same code"}
    finally:
        path.write_text(text, encoding="utf-8")


def read_log(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def report(records):
    counts = collections.Counter(record["verdict"] for record in records)
    for record in records:
        if record["verdict"] == "survived":
            print(f"\nsurvived ({record['kind']}):\n{record['diff']}")
    counted = counts["caught"] + counts["survived"]
    print(f"\n{counts['caught']} of {counted} slips caught ({100 * counts['caught'] / max(1, counted):.0f} %); apart from them "
          f"{counts['uncompilable']} didn't compile and {counts['same code']} compiled to the same code")
    return counts["survived"] == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, metavar="N")
    parser.add_argument("seed", type=int, metavar="SEED")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATH", help="draw from files that begin so: kernels/pool")
    parser.add_argument("--tests", default="", metavar="REGEX", help="build and run those alone whose names match")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers, and tests, at once")
    parser.add_argument("--fresh", action="store_true", help="forget what the log of this seed holds")
    parser.add_argument("--report", action="store_true", help="print the summary of the log; run nothing")
    options = parser.parse_args()

    log = WORK / f"log-{options.seed}.jsonl"
    if options.report:
        sys.exit(0 if report(read_log(log)) else 1)
    TREE.mkdir(parents=True, exist_ok=True)
    if options.fresh and log.exists():
        log.unlink()
    os.nice(10)
    sync()
    texts = sources(options.only)
    state = hashlib.sha1(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    records = read_log(log)
    if any(record["sources"] != state for record in records):
        sys.exit(f"mutate: {log} is of other sources or another --only: --fresh forgets it, or take another seed")
    bench = Bench(options.jobs, options.tests)
    bench.prepare()
    counted = sum(record["verdict"] in ("caught", "survived") for record in records)
    for number, (name, slip) in enumerate(slips.draw(texts, options.seed)):
        if counted >= options.count:
            break
        if number < len(records):
            continue
        begin = time.time()
        record = {"number": number, "sources": state, **judge(bench, name, texts[name], slip)}
        record["seconds"] = round(time.time() - begin, 1)
        counted += record["verdict"] in ("caught", "survived")
        records.append(record)
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        print(f"{counted}/{options.count} {record['verdict']:12} {name} ({slip.kind}) {record.get('by', '')}", flush=True)
    sys.exit(0 if report(records) else 1)


if __name__ == "__main__":
    main()
