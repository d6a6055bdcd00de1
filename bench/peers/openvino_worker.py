"""OpenVINO: inference of PyTorch's model, converted."""

import serve  # first: it finds the models
import openvino
import torch

case, threads = serve.arguments()
model = serve.pytorch_model(case).eval()
images = torch.randn(case["batch"], case["channels"], case["size"], case["size"])
converted = openvino.convert_model(model, example_input=images, input=[list(images.shape)])
compiled = openvino.Core().compile_model(converted, "CPU", {
    "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
request = compiled.create_infer_request()
feed = {0: images.numpy()}
serve.serve(f"OpenVINO {openvino.__version__.split('-')[0]}", lambda: request.infer(feed, share_inputs=True))
