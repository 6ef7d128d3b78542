#!/bin/sh
# Who may include whom (DESIGN.md, section 2): a room sees itself and the rooms below it; only tuning_db/ knows SQLite; only tuner/ parses options;
# templates see templates/include/ and the vendors' intrinsics.
set -eu
cd "$(dirname "$0")/.."

# room, the rooms that it may include, the system headers that it may not
check() {
  room=$1 allowed=$2 forbidden=$3
  find "$room" -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cpp' \) -exec grep -Hn '^[[:space:]]*#[[:space:]]*include' {} + |
    awk -v room="$room" -v allowed=" $allowed " -v forbidden="$forbidden" '
      match($0, /"[^"]*"/) {
        path = substr($0, RSTART + 1, RLENGTH - 2)
        split(path, part, "/")
        if (index(allowed, " " part[1] " ") == 0) { print $0 ": " room "/ may include only:" allowed; bad = 1 }
      }
      forbidden != "" && match($0, "<(" forbidden ")[^>]*>") { print $0 ": not in " room "/"; bad = 1 }
      END { exit bad }'
}

failed=0
check codegen "codegen" "SQLiteCpp|sqlite3|boost|sodium|zstd|cuda|hip" || failed=1
check tuning_db "codegen tuning_db" "boost|cuda|hip" || failed=1
# hone.hpp lies beside hone.h where both are installed.
check runtime "codegen tuning_db runtime hone.h" "SQLiteCpp|sqlite3|boost|cuda|hip" || failed=1
check tuner "codegen tuning_db runtime tuner" "SQLiteCpp|sqlite3|cuda|hip" || failed=1

# hone.h is C for everyone: no header of ours.
if [ -e runtime/hone.h ] && grep -n '#include "' runtime/hone.h; then
  echo "runtime/hone.h: includes a header that isn't installed"
  failed=1
fi

for file in $(grep -rhoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]*"' templates --include='*.h' --include='*.cpp' --include='*.cu' --include='*.hip' |
  sed 's/.*"\(.*\)"/\1/' | sort -u); do
  if [ ! -e "templates/include/$file" ]; then
    echo "templates: #include \"$file\" isn't in templates/include/"
    failed=1
  fi
done
if grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<' templates --include='*.h' --include='*.cpp' | grep -v '<immintrin.h>'; then
  echo "templates: CPU sources may include only <immintrin.h> of the system's headers"
  failed=1
fi
exit $failed
