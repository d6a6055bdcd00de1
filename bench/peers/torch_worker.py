"""PyTorch, channels_last. With a third argument, "tuned": the fused optimizer, and a frozen graph for inference."""

import sys

import serve  # first: it finds the models
import torch
import torch.nn.functional as F


def channels_last(*shape):
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def model_and_images(case):
    model = serve.pytorch_model(case)
    images = channels_last(case["batch"], case["channels"], case["size"], case["size"])
    return model.to(memory_format=torch.channels_last), images


def training(case, tuned):
    model, images = model_and_images(case)
    labels = torch.arange(case["batch"]) % case["classes"]
    optimizer = torch.optim.SGD(model.train().parameters(), 0.01, momentum=0.9, weight_decay=5e-4, fused=tuned)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def inference(case, tuned):
    model, images = model_and_images(case)
    model.eval()
    if tuned:
        with torch.inference_mode():
            model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, images)))

    @torch.inference_mode()
    def predict():
        model(images)

    return predict


def convolution(case):
    kernel, stride, groups = case["kernel"], case["stride"], case["groups"]
    x = channels_last(case["batch"], case["ic"], case["size"], case["size"])
    w = channels_last(case["oc"], case["ic"] // groups, kernel, kernel)
    forward = lambda: F.conv2d(x, w, None, stride, kernel // 2, 1, groups)
    if case["kind"] == "Conv2dForward":
        return torch.inference_mode()(forward)
    grad_output = torch.randn_like(forward())
    wanted = [case["kind"] == "Conv2dBackwardInput", case["kind"] == "Conv2dBackwardFilter", False]
    return lambda: torch.ops.aten.convolution_backward(grad_output, x, w, None, [stride] * 2, [kernel // 2] * 2, [1, 1],
                                                       False, [0, 0], groups, wanted)


case, threads = serve.arguments()
torch.set_num_threads(threads)
tuned = sys.argv[3:] == ["tuned"]
kinds = {"train": training, "infer": inference}
run = kinds[case["kind"]](case, tuned) if case["kind"] in kinds else convolution(case)
serve.serve(f"PyTorch {torch.__version__}", run)
