#!/usr/bin/env bash
# cargo, with RocksDB from the cache: scripts/cargo.sh build --release
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

compiles=
for argument in "$@"; do
    case $argument in
    # A cross build needs its own RocksDB, which the cache does not keep.
    --target | --target=*) compiles=; break ;;
    --) break ;;
    b | build | c | check | t | test | r | run | bench | clippy | d | doc | rustc | install | nextest) compiles=yes ;;
    esac
done
if [ -n "$compiles" ]; then rocksdb_ready; fi
exec cargo "$@"
