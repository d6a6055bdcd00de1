"""ONNX Runtime: inference of PyTorch's model, exported."""

import tempfile

import serve  # first: it finds the models
import onnxruntime
import torch

case, threads = serve.arguments()
model = serve.pytorch_model(case).eval()
images = torch.randn(case["batch"], case["channels"], case["size"], case["size"])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    torch.onnx.export(model, (images,), file.name, input_names=["images"], dynamo=False)
    session = onnxruntime.InferenceSession(file.name, options, providers=["CPUExecutionProvider"])
feed = {"images": images.numpy()}
serve.serve(f"ONNX Runtime {onnxruntime.__version__}", lambda: session.run(None, feed))
