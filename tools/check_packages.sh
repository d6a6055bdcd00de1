#!/usr/bin/env bash
# tools/check_packages.sh FOLDER: installs the packages in FOLDER (./dev package) on this system, which should have nothing of
# hwynn's, runs the program, builds and runs the consumer project, and removes them again. As root.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(cd "${1:?which folder?}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive

install() { apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@" >/dev/null; }

apt-get -qq update
echo "== the program, with the libraries that it names and no more"
install "$folder"/hwynn_*.deb "$folder"/libhwynn*[0-9]_[0-9]*.deb
hwynn --help >/dev/null
cd "$work"
hwynn train --dataset synthetic --model mlp --epochs 1 --output run --json | tail -n 1
hwynn compile run/checkpoint.safetensors --output model.hwynn
zcat /usr/share/man/man1/hwynn.1.gz >/dev/null
! dpkg-query -W libhwynn-dev 2>/dev/null || { echo "libhwynn-dev came with it" >&2; exit 1; }

echo "== a program of one's own"
install "$folder"/*.deb g++ pkg-config ninja-build cmake
[[ $(printf '%s\n' 3.25 "$(cmake --version | sed -n '1s/[^0-9]*//p')" | sort -V | head -n 1) == 3.25 ]]
cmake -S "$root/tests/consumer" -B build -G Ninja >/dev/null
cmake --build build --target quickstart inference classify classify_c serve_loop photograph
for program in quickstart "inference model image.ppm" "classify model image.ppm" "classify_c model image.ppm" \
  "serve_loop model" photograph; do
  # shellcheck disable=SC2086  # a program and its arguments
  build/$program
done
gcc -std=c99 "$root/examples/classify.c" $(pkg-config --cflags --libs hwynn) -lm -o classify_pc
./classify_pc model image.ppm
g++ -std=c++20 "$root/examples/quickstart.cc" $(pkg-config --cflags --libs hwynn-training) -o quickstart_pc
./quickstart_pc >/dev/null

echo "== gone again"
mapfile -t packages < <(for deb in "$folder"/*.deb; do dpkg-deb --field "$deb" Package; done)
apt-get -qq purge -y "${packages[@]}" >/dev/null
left=$(find /usr -path /usr/share/doc -prune -o \( -name '*hwynn*' -print \))
[[ -z $left ]] || { echo "left behind: $left" >&2; exit 1; }
echo "packages: ${packages[*]}"
