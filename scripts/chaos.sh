#!/usr/bin/env bash
# Chaos runs against real processes: faults of every kind that this machine allows, and the checkers' verdicts.
# From the environment:
#   SECONDS_EACH=N  of load and faults in each run (default 90)
#   RUNS=N          how many runs, of three and of five nodes in turn (default 4)
#   SEED=N          of the first run; each after it adds one (default: from the clock)
#   KEEP=DIR        where histories, logs and reports stay (default: target/chaos)
# As root, nodes run in network namespaces and the ways between them are cut; otherwise those faults are left out.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

cd "$ROOT"
scripts/cargo.sh build --locked --release --bin partita --bin partita-jepsen
binaries=${CARGO_TARGET_DIR:-target}/release
each=${SECONDS_EACH:-90}
runs=${RUNS:-4}
seed=${SEED:-$(date +%s)}
keep=${KEEP:-target/chaos}
PARTITA_COMMIT=$(git describe --always --dirty 2>/dev/null || echo unknown)
export PARTITA_COMMIT
nemesis=all
if [ "$(id -u)" -ne 0 ]; then
    nemesis=kill-one,kill-leader,kill-minority,kill-all,pause-leader,pause-one
    note "not root: no way between nodes is cut"
fi

failed=0
for ((run = 0; run < runs; run++)); do
    nodes=$((run % 2 == 0 ? 3 : 5))
    directory=$keep/$((seed + run))-$nodes-nodes
    rm -rf "$directory"
    if "$binaries/partita-jepsen" run --nodes "$nodes" --time "$each" --nemesis "$nemesis" --seed $((seed + run)) \
        --keep "$directory"; then
        # Of a run that passed, data directories say nothing that history and logs do not.
        rm -rf "$directory"/node-*/
    else
        failed=$((failed + 1))
    fi
    echo
done
if [ "$failed" -ne 0 ]; then die "$failed of $runs runs failed: see $keep"; fi
printf 'All %s runs passed; reports are in %s.\n' "$runs" "$keep"
