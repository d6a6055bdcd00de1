#!/usr/bin/env bash
# bench/peers/setup.sh DIR: the virtual environments of the peers, DIR/torch (PyTorch, ONNX Runtime, OpenVINO, ncnn; also
# matplotlib, for the picture) and DIR/jax (Flax). What can't be installed is left out of the comparison. A build of
# PyTorch for CPUs is enough: pip's own settings (PIP_INDEX_URL) say where it comes from.
set -euo pipefail
dir=${1:?usage: bench/peers/setup.sh DIR}

# install VENV PACKAGE…
install() {
  local python=$dir/$1/bin/python
  [[ -x $python ]] || python3 -m venv "$dir/$1"
  "$python" -m pip install --quiet "${@:2}" || echo "setup.sh: could not install ${*:2}" >&2
}

install torch torch==2.13.0 numpy safetensors
install torch onnx onnxruntime
install torch openvino
install torch ncnn pnnx
install torch matplotlib
install jax jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 optax==0.2.8 numpy

compgen -G '/usr/lib*/libjemalloc.so.2' >/dev/null || compgen -G '/usr/lib/*/libjemalloc.so.2' >/dev/null ||
  echo "setup.sh: PyTorch as tuned needs jemalloc too: apt-get install libjemalloc2" >&2
