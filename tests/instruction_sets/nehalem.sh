#!/bin/sh
# nehalem.sh QEMU HWYNN FOLDER: the program trains a ResNet on a few images, compiles it and serves it on an emulated CPU of 2008, with
# SSE4.2 and nothing newer; an instruction that it lacks ends the program.
set -eu
qemu=$1
hwynn=$2
folder=$3
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"

# 16 images of 28×28 in MNIST's format: some bytes of the program.
images() { printf '\000\000\010\003\000\000\000\020\000\000\000\034\000\000\000\034' && head -c 12544 "$hwynn"; }
labels() { printf '\000\000\010\001\000\000\000\020' && printf '\000\001\002\003\004\005\006\007\010\011\000\001\002\003\004\005'; }
for set in train t10k; do
  images >$set-images-idx3-ubyte
  labels >$set-labels-idx1-ubyte
done

run() { "$qemu" -cpu Nehalem "$hwynn" "$@"; }
run --help >/dev/null
run train --dataset mnist --data-dir . --model resnet20 --epochs 1 --batch-size 8 --threads 1 --output run --json
run evaluate --checkpoint run/checkpoint.safetensors --dataset mnist --data-dir . --threads 1 --json
run compile run/checkpoint.safetensors --output model
run evaluate --checkpoint run/checkpoint.safetensors --compiled --dataset mnist --data-dir . --threads 1 --json
