#!/usr/bin/env bash
# What building costs, of two commits on the same machine in the same hour: processor time (user and system) of
#   a clean release build of the program; the tests, built again after one file of `archive` was touched, and one of the transport to
#   Telegram: those of the crate that holds the file, and those of the whole tree; and the program's size.
# usage: benches/build_times.sh [BEFORE [AFTER]]     (134d9ab and HEAD)
set -euo pipefail
cd "$(dirname "$0")/.."

before=${1:-134d9ab}
after=${2:-HEAD}
work=$(mktemp -d)
trap 'git worktree remove --force "$work/before" 2>/dev/null; git worktree remove --force "$work/after" 2>/dev/null; rm -rf -- "$work"' EXIT
git worktree add --quiet --detach "$work/before" "$before"
git worktree add --quiet --detach "$work/after" "$after"

# Seconds of processor time of a command, of all its children too.
cost() {
    local times
    times=$({ TIMEFORMAT='%U %S'; time "$@" >"$work/log" 2>&1; } 2>&1) || {
        cat "$work/log" >&2
        exit 1
    }
    awk '{printf "%.1f", $1 + $2}' <<<"$times"
}

# The file of this name, wherever it lies by now.
file() {
    git ls-files | grep -E "(^|/)$1\$" | head -n 1
}

# The package that a file belongs to.
package() {
    case $1 in
    crates/*) cut -d/ -f2 <<<"$1" ;;
    *) echo tgvault ;;
    esac
}

# Adds a comment, so that the file is another one. The same word for both commits.
touch_file() {
    printf '// touched\n' >>"$1"
}

measure() {
    cd "$work/$1"
    export CARGO_TARGET_DIR=$work/target-$1
    local archive transport
    archive=$(file 'archive/seek\.rs')
    transport=$(file '(transport|wire|tgvault-mtproto/src)/retry\.rs')
    cargo fetch --quiet --locked
    echo "release $(cost cargo build --release --locked)" | tee -a "$work/$1.txt"
    echo "size_mb $(awk "BEGIN {printf \"%.1f\", $(stat -c %s "$CARGO_TARGET_DIR/release/tgvault") / 1e6}")" | tee -a "$work/$1.txt"
    rm -rf -- "$CARGO_TARGET_DIR/release"
    cargo test --quiet --workspace --no-run --locked 2>/dev/null
    for which in archive transport; do
        touch_file "${!which}"
        echo "tests_of_all_after_$which $(cost cargo test --workspace --no-run --locked)" | tee -a "$work/$1.txt"
    done
    for which in archive transport; do
        local name
        name=$(package "${!which}")
        # Alone, a crate may be built with other features of what it uses: once before it counts.
        cargo test --quiet -p "$name" --no-run --locked 2>/dev/null
        touch_file "${!which}"
        echo "tests_of_the_crate_after_$which $(cost cargo test -p "$name" --no-run --locked)" | tee -a "$work/$1.txt"
    done
    rm -rf -- "$CARGO_TARGET_DIR"
    cd - >/dev/null
}

echo "$before:"
measure before
echo "$after:"
measure after

echo
echo "| what | before | after | ratio |"
echo "|---|---|---|---|"
join <(sort "$work/before.txt") <(sort "$work/after.txt") | awk '{printf "| %s | %s | %s | %.2f |\n", $1, $2, $3, $3 / $2}'
