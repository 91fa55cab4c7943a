#!/usr/bin/env bash
# Chaos for a long time: rounds of some minutes, each on a new cluster with another workload, mix of faults, size and
# seed, each fully judged; then what all of them counted. Ends by itself. From the environment:
#   SOAK_SECONDS=N  in all (default 3600); make soak takes it from SECONDS=N
#   EACH=N          of load and faults in each round (default 240)
#   PAUSE=N         milliseconds that each client waits between two questions, so that elections are never the fault of a
#                   machine that has no time for them, and judging takes less than the load (default 8)
#   SEED=N          of the first round; each after it adds one (default: from the clock)
#   BINARIES=DIR    where the programs are that were built before (default: they are built)
#   KEEP=DIR        where reports stay, and histories and logs of rounds that failed (default: target/soak)
# An hour promises a million definite answers, 300 faults, and every kind of fault that this machine allows.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/nemesis.sh
. "$(dirname "$0")/nemesis.sh"

cd "$ROOT"
if [ -z "${BINARIES:-}" ]; then
    scripts/cargo.sh build --locked --release --bin partita --bin partita-jepsen --example next_level
fi
# From here on the time counts: bash counts SECONDS itself.
SECONDS=0
whole=${SOAK_SECONDS:-3600}
binaries=${BINARIES:-${CARGO_TARGET_DIR:-target}/release}
each=${EACH:-240}
seed=${SEED:-$(date +%s)}
pause=${PAUSE:-8}
keep=${KEEP:-target/soak}
PARTITA_COMMIT=$(git describe --always --dirty 2>/dev/null || echo unknown)
export PARTITA_COMMIT
mkdir -p "$keep"
possible=$(possible_faults)

# Workload, nodes, clients on each, mixes.
rounds=(
    "bank 3 4 processes ways"
    "mixed 5 2 disks"
    "billing 3 4 clocks members"
    "bank 3 4 damage"
    "idempotence 5 2 proxies"
    "trial-balance 3 4 disks"
    "statement 5 2 processes ways"
    "mixed 3 2 damage members"
    "membership 5 2 clocks members"
    "bank 5 2 proxies clocks"
    "upgrade 3 4 processes"
)
directories=()
round=0
while [ "$round" -eq 0 ] || [ $((SECONDS + each)) -le "$whole" ]; do
    read -r workload nodes clients mixes <<<"${rounds[round % ${#rounds[@]}]}"
    directory=$keep/round-$(printf '%03d' $((round + 1)))
    directories+=("$directory")
    # shellcheck disable=SC2086  # the mixes are words
    one_run "$directory" "$each" --workload "$workload" --nodes "$nodes" --clients "$clients" --pause "$pause" --seed "$seed" \
        --nemesis "$(allowed $mixes)" || true
    seed=$((seed + 1))
    round=$((round + 1))
done

# A shorter one promises as much less.
promised() { echo $(($1 * whole / 3600)); }
every=()
if [ "$round" -ge "${#rounds[@]}" ]; then every=(--every-kind); fi
echo
"$binaries/partita-jepsen" summary --title "make soak, $whole s" --made-by "make soak SECONDS=$whole" --keep "$keep" \
    --min-runs "$round" --run-seconds "$each" --min-ok "$(promised 1000000)" --min-faults "$(promised 300)" \
    "${every[@]}" "${directories[@]}" || die "see $keep/report.txt and the rounds beside it"
printf '\nThe report is %s/report.html.\n' "$keep"
