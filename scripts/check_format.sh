#!/bin/sh
# clang-format's opinion on the C and C++ files of the house; `--fix` applies it. Without clang-format there is nothing to check with, and it says so.
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang-format >/dev/null; then
  echo "check_format: clang-format isn't installed: skipped"
  exit 0
fi
# tests/tuner/data holds templates, some of them broken on purpose.
files=$(find codegen tuning_db runtime tuner tests -path tests/tuner/data -prune -o \( -name '*.h' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.c' \) -print | sort)
if [ "${1:-}" = --fix ]; then
  # shellcheck disable=SC2086  # a list of words
  exec clang-format -i $files
fi
# shellcheck disable=SC2086
exec clang-format --dry-run --Werror $files
