#!/usr/bin/env bash
# Builds the binary and runs its benchmark; arguments are handed on to `partita bench`.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

cd "$ROOT"
scripts/cargo.sh build --locked --release --bin partita
exec "${CARGO_TARGET_DIR:-target}/release/partita" bench "$@"
