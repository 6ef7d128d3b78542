#!/bin/sh
# Builds Hone, Release, in build/; the program is build/hone. Installs nothing. Arguments go to cmake: `scripts/build.sh -DHONE_TESTS=ON` adds the
# tests. BUILD_DIR names another folder.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD_DIR:-$root/build}

# Options in "$@" come last, so they win.
set -- -DCMAKE_BUILD_TYPE=Release -DHONE_TESTS=OFF "$@"
if command -v ccache >/dev/null; then
  export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1
  set -- -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache "$@"
fi
# A build folder keeps the generator that it was made with.
if [ ! -e "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then
  set -- -G Ninja "$@"
fi
cmake -S "$root" -B "$build" "$@"
cmake --build "$build" --parallel "${JOBS:-$(nproc)}"
