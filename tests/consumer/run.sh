#!/bin/sh
# Installs a build of Hone into a temporary prefix, tunes a problem with the installed program, and runs the example built by find_package and by
# pkg-config. usage: run.sh BUILD_DIR CMAKE CC
set -eu
build=$1 cmake=$2 cc=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the machine's own databases and caches takes part.
export HOME="$work" XDG_DATA_HOME="$work/data" XDG_CACHE_HOME="$work/cache"
unset HONE_DB HONE_SYSTEM_DB

"$cmake" --install "$build" --prefix "$work/prefix" >/dev/null
"$work/prefix/bin/hone" tune gemm:m=1,n=512,k=256 --device cpu:0 --db "$work/tuned.db" --trials 3 --budget 60s

expect() {
  output=$("$@" "$work/tuned.db")
  echo "$output"
  case $output in
    *"(exact): y[7] = 256") ;;
    *) echo "expected an exact match and 256" >&2; exit 1 ;;
  esac
}

"$cmake" -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" >/dev/null
"$cmake" --build "$work/build" >/dev/null
expect "$work/build/gemm"

pc=$(dirname "$(find "$work/prefix" -name hone.pc)")
# shellcheck disable=SC2046  # a list of flags
"$cc" -std=c11 -Wall -Wextra -Werror "$here/gemm.c" -o "$work/gemm" $(PKG_CONFIG_PATH="$pc" pkg-config --cflags --libs hone)
LD_LIBRARY_PATH=$(PKG_CONFIG_PATH="$pc" pkg-config --variable=libdir hone)
export LD_LIBRARY_PATH
expect "$work/gemm"
