#!/bin/sh
# Gets the vendors' runtime compilers, which need no GPU and no driver: `nvrtc` from NVIDIA's wheel on PyPI, `hiprtc` from Debian's packages.
# NVRTC goes where Hone looks for it, ${XDG_DATA_HOME:-~/.local/share}/hone/nvrtc, or into the folder that a second argument names (then set
# HONE_NVRTC to the libnvrtc.so.13 in it). What is there already, or comes with an installed toolkit, is left alone.
# `nvdisasm`, with which tests check how Hone reads machine code, comes from NVIDIA's wheel too and goes to ${XDG_DATA_HOME:-~/.local/share}/hone.
set -eu

nvrtc_version=13.0.88
nvdisasm_version=13.5.37
usage() { echo "usage: $0 nvrtc [FOLDER] | hiprtc | nvdisasm | all" >&2; exit 2; }

fetch_nvrtc() {
  folder=${1:-${XDG_DATA_HOME:-$HOME/.local/share}/hone/nvrtc}
  if [ -e "$folder/libnvrtc.so.13" ]; then
    echo "NVRTC is there: $folder/libnvrtc.so.13"
    return
  fi
  if [ $# -eq 0 ] && [ -e /usr/local/cuda/lib64/libnvrtc.so.13 ]; then
    echo "NVRTC is there: /usr/local/cuda/lib64/libnvrtc.so.13"
    return
  fi
  if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "$0: fetching NVRTC needs pip (apt-get install python3-pip)" >&2
    exit 1
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "nvidia-cuda-nvrtc==$nvrtc_version"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  library=$(find "$work/wheel" -name 'libnvrtc.so.*' | head -n 1)
  [ -n "$library" ] || { echo "$0: the wheel holds no libnvrtc" >&2; exit 1; }
  mkdir -p "$folder"
  # The library last: where it is, all is.
  for file in "$(dirname "$library")"/libnvrtc-builtins.so.*; do mv "$file" "$folder/"; done
  mv "$library" "$folder/"
  echo "NVRTC $nvrtc_version: $folder/libnvrtc.so.13"
}

fetch_nvdisasm() {
  folder=${XDG_DATA_HOME:-$HOME/.local/share}/hone
  for file in "$folder/nvdisasm" /usr/local/cuda/bin/nvdisasm; do
    [ -e "$file" ] && echo "nvdisasm is there: $file" && return
  done
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "nvidia-cuda-nvdisasm==$nvdisasm_version"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  mkdir -p "$folder"
  mv "$(find "$work/wheel" -name nvdisasm | head -n 1)" "$folder/nvdisasm"
  chmod +x "$folder/nvdisasm"
  echo "nvdisasm $nvdisasm_version: $folder/nvdisasm"
}

fetch_hiprtc() {
  packages="libamdhip64-dev libhiprtc-builtins5"
  missing=
  for package in $packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
  done
  if [ -z "$missing" ]; then
    echo "hiprtc is there: $packages"
    return
  fi
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "$0: neither root nor sudo: let root run: apt-get install$missing" >&2; exit 1; }
    as_root=sudo
  fi
  echo "Installing:$missing"
  $as_root apt-get update -qq
  # shellcheck disable=SC2086  # a list of words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

case "${1:-}" in
  nvrtc) shift; fetch_nvrtc "$@" ;;
  hiprtc) fetch_hiprtc ;;
  nvdisasm) fetch_nvdisasm ;;
  all) fetch_nvrtc; fetch_hiprtc; fetch_nvdisasm ;;
  *) usage ;;
esac
