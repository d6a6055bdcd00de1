"""ncnn: inference of PyTorch's model, converted by pnnx. It has no batches: images are run one after another."""

import os
import tempfile

import serve  # first: it finds the models
import ncnn
import numpy
import pnnx
import torch

case, threads = serve.arguments()
model = serve.pytorch_model(case).eval()
image = torch.randn(1, case["channels"], case["size"], case["size"])
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model")
    here = os.getcwd()
    os.chdir(folder)  # pnnx writes beside what it was given, and there
    torch.jit.trace(model, image).save(path + ".pt")
    pnnx.convert(path + ".pt", image, fp16=False)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(path + ".ncnn.param")
    net.load_model(path + ".ncnn.bin")
    os.chdir(here)
images = [ncnn.Mat(numpy.random.randn(case["channels"], case["size"], case["size"]).astype(numpy.float32)).clone()
          for _ in range(case["batch"])]


def run():
    for image in images:
        with net.create_extractor() as extractor:
            extractor.input("in0", image)
            extractor.extract("out0")


serve.serve(f"ncnn {ncnn.__version__}", run)
