#!/bin/sh
# From a clean clone on Debian to tuned kernels for this machine's CPU: installs packages, builds, tunes every operator of a small model and
# prints what was found. Run again, it finds its results in the database. HONE_DB names the database; arguments go to `hone tune`.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
db=${HONE_DB:-${XDG_DATA_HOME:-${HOME:?}/.local/share}/hone/tuning.db}

"$root/scripts/install_packages.sh" build
# All at once compiles fastest in large units. A build folder that is there stays as it is.
unity=-DCMAKE_UNITY_BUILD=ON
[ ! -e "$root/build/CMakeCache.txt" ] || unity=
"$root/scripts/build.sh" $unity
mkdir -p "$(dirname "$db")"
exec "$root/build/hone" tune --model smollm2-135m --device cpu:0 --db "$db" --budget 90s "$@"
