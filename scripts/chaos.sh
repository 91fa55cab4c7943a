#!/usr/bin/env bash
# Real clusters under faults of every class that this machine allows, judged from outside, and the simulator's seeds.
# About ten minutes. From the environment:
#   SECONDS_EACH=N  of load and faults in each run (default 75)
#   SEEDS=N         of the simulator (default 200)
#   SEED=N          of the first run; each after it adds one (default: from the clock)
#   BINARIES=DIR    where the programs are that were built before (default: they are built)
#   KEEP=DIR        where reports stay, and histories and logs of what failed (default: target/chaos)
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/nemesis.sh
. "$(dirname "$0")/nemesis.sh"

cd "$ROOT"
if [ -z "${BINARIES:-}" ]; then
    scripts/cargo.sh build --locked --release --bin partita --bin partita-jepsen --bin simulate --example next_level
fi
binaries=${BINARIES:-${CARGO_TARGET_DIR:-target}/release}
each=${SECONDS_EACH:-75}
seeds=${SEEDS:-200}
seed=${SEED:-$(date +%s)}
keep=${KEEP:-target/chaos}
PARTITA_COMMIT=$(git describe --always --dirty 2>/dev/null || echo unknown)
export PARTITA_COMMIT
mkdir -p "$keep"

note "seeds 1 to $seeds of the simulator"
simulated=$seeds
"$binaries/simulate" --seeds "1..$((seeds + 1))" >"$keep/simulator.txt" 2>&1 || simulated=0
tail -n 3 "$keep/simulator.txt"

possible=$(possible_faults)
directories=()
# go_on WORKLOAD NODES MIX...
go_on() {
    local workload=$1 nodes=$2 directory=$keep/$seed-$1-$2-nodes
    shift 2
    directories+=("$directory")
    # What failed is counted by the summary.
    one_run "$directory" "$each" --workload "$workload" --nodes "$nodes" --pause 5 --seed "$seed" \
        --nemesis "$(allowed "$@")" || true
    seed=$((seed + 1))
}
go_on bank 3 processes ways
go_on mixed 5 disks clocks
go_on idempotence 3 members damage
go_on billing 5 proxies

echo
"$binaries/partita-jepsen" summary --title "make chaos" --made-by "make chaos" --keep "$keep" \
    --min-runs 3 --run-seconds 60 --min-ok 20000 --min-faults 15 --min-classes 6 \
    --simulated "$simulated" --min-simulated 200 "${directories[@]}" || die "see $keep/report.txt and the runs beside it"
printf '\nThe report is %s/report.html.\n' "$keep"
