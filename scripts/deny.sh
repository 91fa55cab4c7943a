#!/usr/bin/env bash
# cargo-deny over the lock file: licences, banned crates and sources always; advisories where their database, a git
# repository, can be had. What could not be checked is said and never counted as passed; DENY_ADVISORIES=required makes
# it a failure.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

VERSION=0.20.2
FETCH_SECONDS=60

# The tool takes minutes to compile: it lives in the cache beside RocksDB, or in the clone where there is no cache.
find_deny() {
    local home=${CACHE:-$ROOT/target}/tools/cargo-deny-$VERSION
    deny=$home/bin/cargo-deny
    if [ -x "$deny" ]; then return; fi
    if [ "$(cargo-deny --version 2>/dev/null)" = "cargo-deny $VERSION" ]; then deny=$(command -v cargo-deny); return; fi
    note "installing cargo-deny $VERSION, once on this machine: a few minutes"
    # Little optimisation and no debug information: it runs for a second and would compile for ten minutes. From the
    # root directory, so that this workspace's flags do not apply to it.
    (cd / && CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_TARGET_DIR="$ROOT/target/tools" \
        nice -n 19 cargo install cargo-deny --version "=$VERSION" --locked --debug --root "$home") </dev/null \
        || die "cargo-deny $VERSION could not be installed"
    rm -rf "$ROOT/target/tools"
}

cd "$ROOT"
find_deny
# Duplicate versions are warnings: `cargo deny check bans` shows them.
"$deny" --log-level error --all-features check --hide-inclusion-graph bans licenses sources

if timeout "$FETCH_SECONDS" "$deny" fetch db >/dev/null 2>&1 </dev/null; then
    "$deny" --log-level error --all-features check --hide-inclusion-graph --disable-fetch advisories
elif [ "${DENY_ADVISORIES:-}" = required ]; then
    die "the advisory database could not be fetched, and DENY_ADVISORIES=required"
else
    note "NOT CHECKED: advisories. Their database (a git repository) could not be fetched from here."
fi
