#!/bin/sh
# Everything that must hold before a change goes in: the tests of the Release build, the same tests under the address and undefined-behaviour sanitizers,
# the include directions and the format. Installs the packages it needs, and fetches the compilers for GPU kernels. The Release build compiles each
# file of the product by itself, which shows a missing include; the rest is compiled in large units, twice as fast.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
began=$(date +%s)
step() { echo "== $* ($(($(date +%s) - began)) s)"; }

scripts/install_packages.sh test
# Without them the tests of GPU kernels skip, and say so.
scripts/fetch_gpu_compilers.sh all || echo "no compilers for GPU kernels: their tests will skip"
step "include directions and format"
scripts/check_includes.sh
scripts/check_format.sh

step "Release build"
scripts/build.sh -DHONE_TESTS=ON -DCMAKE_UNITY_BUILD=OFF -DHONE_UNITY_TESTS=ON
step "Release tests"
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(nproc)"

step "sanitizer build"
BUILD_DIR=build-sanitize scripts/build.sh -DHONE_TESTS=ON -DHONE_PEERS=OFF -DCMAKE_UNITY_BUILD=ON -DHONE_SANITIZE=address,undefined \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O0 -g1"
step "sanitizer tests"
ASAN_OPTIONS=${ASAN_OPTIONS:-} UBSAN_OPTIONS=print_stacktrace=1 \
  ctest --test-dir build-sanitize --output-on-failure --no-tests=error --parallel "$(nproc)"
step "all passed"
