"""A worker's side of the conversation with compare.py."""

import json
import os
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tools"))  # pytorch_resnet, pytorch_mobilenet, flax_models


def arguments():
    """The case and the number of threads. From here on, what libraries print goes to standard error."""
    global answers
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return json.loads(sys.argv[1]), int(sys.argv[2])


def pytorch_model(case):
    from pytorch_mobilenet import MobileNetV2
    from pytorch_resnet import ResNet
    if case["model"] == "mobilenet_v2":
        return MobileNetV2(case["classes"], case["channels"])
    return ResNet(int(case["model"].removeprefix("resnet")), case["classes"], channels=case["channels"])


def serve(version, run, warm_up=2):
    for _ in range(warm_up):
        run()
    print(json.dumps({"version": version}), file=answers)
    for line in sys.stdin:
        seconds = []
        begin = time.perf_counter()
        while not seconds or time.perf_counter() - begin < float(line):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), file=answers)
