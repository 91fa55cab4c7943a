#!/usr/bin/env bash
# cargo-deny over the lock file: licences, banned crates and sources always; advisories with DENY_ADVISORIES=required,
# because their database, a git repository, is fetched for it. What was not checked is said.
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

case ${DENY_ADVISORIES:-} in
'') note "NOT CHECKED: advisories. DENY_ADVISORIES=required fetches their database and checks them." ;;
*)
    timeout "$FETCH_SECONDS" "$deny" fetch db </dev/null || die "the advisory database could not be fetched"
    "$deny" --log-level error --all-features check --hide-inclusion-graph --disable-fetch advisories
    ;;
esac
