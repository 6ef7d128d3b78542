#!/bin/sh
# Installs the Debian packages that Hone needs and that aren't there yet: `build` (the default) what compiles it, `test` also what its
# tests and peer benchmarks use. Works as root or through sudo; does nothing when all is there.
set -eu

build_packages="cmake ninja-build g++ pkg-config libfmt-dev nlohmann-json3-dev libsqlite3-dev libsqlitecpp-dev
  libboost-program-options-dev libxxhash-dev libsodium-dev libzstd-dev"
test_packages="libgtest-dev libgmock-dev libbenchmark-dev libopenblas-dev libdnnl-dev"

case "${1:-build}" in
  build) packages=$build_packages ;;
  test) packages="$build_packages $test_packages" ;;
  *) echo "usage: $0 [build|test]" >&2; exit 2 ;;
esac

missing=
for package in $packages; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "$0: neither root nor sudo: let root run: apt-get install$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "Installing:$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
