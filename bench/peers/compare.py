#!/usr/bin/env python3
"""Times hwynn beside PyTorch, Flax, ONNX Runtime, OpenVINO and ncnn: the same shapes, machine and minutes.

    ./dev build hwynn_worker && bench/peers/setup.sh build/peers
    build/peers/torch/bin/python bench/peers/compare.py

For every case each contender is a process that prepares (compiles, warms up) and then waits. A round measures each of
them once, in turn, with the others stopped by SIGSTOP, so that no thread pool of theirs spins; then hwynn's worker
measures the FMA peak. What is reported are medians over the rounds, and the medians of each round's ratios.

The conversation with a worker is by lines. It says {"version": …} in JSON once it is ready (hwynn adds "flops"). For
each line with a number of seconds it repeats the case for that long, once at least, and answers with a list of
the seconds of each repetition.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable, NamedTuple

import report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONVOLUTIONS = {"Conv2dForward", "Conv2dBackwardInput", "Conv2dBackwardFilter"}
# PyTorch with an allocator that keeps its memory and asks for huge pages.
JEMALLOC_OPTIONS = "dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always"


class Contender(NamedTuple):
    name: str
    kinds: set  # of cases that it can do
    threads: int
    command: Callable[[dict], list]  # of a case
    environment: dict = {}


class Unavailable(Exception):
    pass


class Worker:
    """A contender's process for one case, stopped but for the time of a measurement."""

    def __init__(self, contender, case, processors):
        self.contender = contender
        self.seconds = []  # by round, None where it sat out
        self.spent = 0
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(word) for word in contender.command(case)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True, bufsize=1, env=os.environ | contender.environment,
            preexec_fn=lambda: os.sched_setaffinity(0, processors[:contender.threads]))

    def wait_until_ready(self):
        self.about = self.answer()
        self.stop()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines()
            raise Unavailable(lines[-1] if lines else f"ended with status {self.process.returncode}")
        return json.loads(line)

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def measure(self, seconds):
        """Adds the median time of a repetition to self.seconds and returns it."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{seconds}\n")
        self.seconds.append(statistics.median(self.answer()))
        self.stop()
        self.spent += time.monotonic() - start
        return self.seconds[-1]

    def sit_out(self):
        self.seconds.append(None)

    def peak_memory(self):
        """The most bytes of memory that the process had."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))

    def end(self):
        self.process.kill()
        self.process.communicate()


def find_jemalloc():
    folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"]
    found = (path for folder in folders for pattern in ("libjemalloc.so.2", "*/libjemalloc.so.2")
             for path in pathlib.Path(folder).glob(pattern))
    return next(found, None)


def contenders_of(args):
    """hwynn first: the others are compared with it."""
    def hwynn(name, threads):
        return Contender(name, {"train", "infer", *CONVOLUTIONS}, threads,
                         lambda case: [args.worker, case["name"], threads])

    def script(name, kinds, python, file, *more, environment={}):
        command = [args.peers / python / "bin/python", HERE / file]
        if not re.search(args.contenders, name):
            return
        if not command[0].exists():
            left_out(name, f"no {command[0]}")
        else:
            yield Contender(name, kinds, args.threads, lambda case: [*command, json.dumps(case), args.threads, *more],
                            environment)

    if args.threads_scaling:
        return [hwynn(f"hwynn, {args.threads} threads", args.threads), hwynn("hwynn, 1 thread", 1)]
    contenders = [hwynn("hwynn", args.threads)]
    jemalloc = args.jemalloc or find_jemalloc()
    if jemalloc:
        contenders += script("PyTorch, tuned", {"train", "infer", *CONVOLUTIONS}, "torch", "torch_worker.py", "tuned",
                             environment={"LD_PRELOAD": str(jemalloc), "MALLOC_CONF": JEMALLOC_OPTIONS})
    else:
        left_out("PyTorch, tuned", "no libjemalloc.so.2")
    contenders += script("PyTorch", {"train", "infer", *CONVOLUTIONS}, "torch", "torch_worker.py")
    contenders += script("Flax", {"train", "infer"}, "jax", "flax_worker.py")
    contenders += script("ONNX Runtime", {"infer"}, "torch", "onnxruntime_worker.py")
    contenders += script("OpenVINO", {"infer"}, "torch", "openvino_worker.py")
    contenders += script("ncnn", {"infer"}, "torch", "ncnn_worker.py")
    return contenders


def peak_contender(args, threads):
    return Contender("hwynn peak", set(), threads, lambda _: [args.worker, "Peak", threads])


def left_out(name, reason):
    print(f"left out: {name}: {reason}", file=sys.stderr)


def compare(case, contenders, args, processors):
    """One case: the contenders that can do it, and the FMA peak at each number of threads."""
    with contextlib.ExitStack() as stack:
        def start(contender):
            worker = Worker(contender, case, processors)
            stack.callback(worker.end)
            return worker

        started = [start(contender) for contender in contenders if case["kind"] in contender.kinds]
        peaks = {threads: start(peak_contender(args, threads)) for threads in {c.threads for c in contenders}}
        workers = []
        for worker in [*peaks.values(), *started]:  # they prepare side by side
            try:
                worker.wait_until_ready()
                workers.append(worker)
            except Unavailable as error:
                if "hwynn" in worker.contender.name:
                    raise
                left_out(worker.contender.name, error)
        workers = workers[len(peaks):]

        for round_ in range(args.rounds):
            turn = round_ % len(workers)
            for worker in workers[turn:] + workers[:turn]:
                if round_ >= 3 and worker.spent > args.budget:
                    worker.sit_out()
                else:
                    worker.measure(args.seconds)
            for peak in peaks.values():
                peak.measure(0.05)
        return {**case, "flops": workers[0].about["flops"],
                "peak": {str(threads): [peak.about["flops"] / seconds for seconds in peak.seconds]
                         for threads, peak in peaks.items()},
                "contenders": [{"name": worker.contender.name, "version": worker.about["version"],
                                "threads": worker.contender.threads, "memory": worker.peak_memory(),
                                "seconds": worker.seconds} for worker in workers]}


def processor_name():
    match = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return match.group(1) if match else os.uname().machine


def main():
    processors = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", type=pathlib.Path, default=ROOT / "build/release/bin/hwynn_worker")
    parser.add_argument("--peers", type=pathlib.Path, default=ROOT / "build/peers", help="what setup.sh made")
    parser.add_argument("--jemalloc", type=pathlib.Path, help="libjemalloc.so.2, if it isn't found by itself")
    parser.add_argument("--cases", metavar="REGEX", help="by default all training steps and inferences; the rest are "
                        "single convolutions: Conv2dForward/56x56x64_3x3x64_s1/batch:16. hwynn_worker lists them")
    parser.add_argument("--contenders", metavar="REGEX", default="", help="by default all; hwynn always takes part")
    parser.add_argument("--threads", type=int, default=len(processors))
    parser.add_argument("--threads-scaling", action="store_true",
                        help="hwynn's training steps with --threads and with one thread, no others")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a measurement: a repetition at least")
    parser.add_argument("--budget", type=float, default=20,
                        help="seconds after which a contender sits out the rest of a case, three rounds at least")
    parser.add_argument("--json", action="store_true", help="the results as JSON on standard output, not the table")
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR", help="writes peers.json, .txt, .svg")
    args = parser.parse_args()
    fewest = 2 if args.threads_scaling else 1
    if not fewest <= args.threads <= len(processors):
        parser.error(f"--threads must be {fewest} to {len(processors)}")

    if not args.worker.exists():
        parser.error(f"no {args.worker}: ./dev build hwynn_worker")
    listed = subprocess.run([args.worker], stdout=subprocess.PIPE, text=True, check=True).stdout
    wanted = re.compile(args.cases or ("TrainStep/resnet(18|50)" if args.threads_scaling else "TrainStep|Inference"))
    cases = [case for case in map(json.loads, listed.splitlines()) if wanted.search(case["name"])]
    if not cases:
        parser.error(f"no case matches {wanted.pattern!r}")
    contenders = contenders_of(args)
    results = {"processor": processor_name(), "date": datetime.date.today().isoformat(), "rounds": args.rounds,
               "cases": []}
    start = time.monotonic()
    for case in cases:
        print(f"{time.monotonic() - start:4.0f} s  {case['name']}", file=sys.stderr)
        results["cases"].append(compare(case, contenders, args, processors))

    table = report.text(results)
    print(json.dumps(results, indent=1) if args.json else table)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
        (args.output / "peers.txt").write_text(table + "\n")
        try:
            report.plot(results, args.output / "peers.svg")
        except ModuleNotFoundError:
            print("no peers.svg: matplotlib isn't installed", file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no stopped worker is left behind
    try:
        main()
    except Unavailable as error:
        sys.exit(f"hwynn_worker: {error}")
