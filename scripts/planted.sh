#!/usr/bin/env bash
# Proof that the tests can fail: builds the program with bugs on purpose (core/src/planted.rs), chooses one after the
# other, and demands that the simulator or the chaos harness finds each, by an invariant or a checker that is right for
# it. Without a bug the same seeds and the same runs must pass: otherwise a find says nothing.
# From the environment:
#   SEEDS=A..B  the simulator's seeds that are tried for each bug, in turn (default 0..200)
#   CONTROLS=N  seeds that must pass without a bug, besides those on which something was found (default 20)
#   JOBS=N      simulations at one time (default 2)
#   BUGS=A,B    these only
#   OUT=DIR     where outputs and the table stay (default: target/planted/found)
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

# The build with bugs has a directory of its own: no program with bugs ever stands where one without is looked for.
DIRECTORY=${CARGO_TARGET_DIR:-target}/planted
BINARIES=$DIRECTORY/release
SEEDS=${SEEDS:-0..200}
CONTROLS=${CONTROLS:-20}
JOBS=${JOBS:-2}
OUT=${OUT:-$DIRECTORY/found}
# One simulation takes seconds; one that does not end is not a find.
SIMULATION_SECONDS=120
RUN_SECONDS=240

# Each bug, and the invariants (simulator) or checkers (harness) whose find is a find of this bug; a harness's arguments.
TABLE=$(cat <<'END'
acknowledge-before-sync     | simulate | appends are durable, committed on a quorum, committed is readable
vote-not-synced             | simulate | votes are durable
truncate-not-synced         | simulate | log matching, appends are durable, committed is kept
mark-not-lowered            | simulate | a log reaches its mark
log-purged-early            | simulate | checkpoint before purge, state behind log
checkpoint-ahead-of-log     | simulate | every node starts, state behind log
keys-left-out               | simulate | tables follow from the journal, keys decided once, decided by the rules, applied in order
refund-totals-not-restored  | simulate | decided by the rules, equal heads, tables follow from the journal
expiries-not-restored       | simulate | decided by the rules, equal heads
entry-applied-twice         | simulate | decided by the rules, equal heads, tables follow from the journal, nothing panics
batch-reordered             | simulate | answers from the journal, decided by the rules
last-key-unchecked          | simulate | decided by the rules, keys decided once, answers from the journal, applied in order
refusal-forgotten           | simulate | decided by the rules, keys decided once, answers from the journal, applied in order
replay-answers-the-newest   | simulate | answers from the journal
balance-after-off-by-one    | simulate | decided by the rules
control-misses-a-line       | simulate | decided by the rules, tables follow from the journal
own-clock-decides           | simulate | equal heads, decided by the rules
read-without-barrier        | simulate | reads see what was acknowledged
follower-answers-stale      | simulate | reads see what was acknowledged
isolated-leader-accepts     | simulate | an old leader steps back
lost-reported-as-not-sent   | simulate | refused is not decided
read-names-earlier-position | run      | witness | --workload bank --nodes 3 --clients 4 --time 15 --nemesis none
END
)

trim() { sed -E 's/^ +//; s/ +$//' <<<"$1"; }
field() { trim "$(cut -s -d'|' -f"$2" <<<"$1")"; }

# simulate BUG SEED FILE: whether the seed passes. What is no find (a time limit, another end) stops everything.
simulate() {
    local status=0
    PARTITA_PLANTED_BUG=$1 timeout "$SIMULATION_SECONDS" "$BINARIES/simulate" "$2" >"$3" 2>&1 || status=$?
    case $status in
    0) return 0 ;;
    1) grep -q '^BROKEN ' "$3" && return 1 ;;
    esac
    die "seed $2 with ${1:-no bug} ended with status $status and no invariant: see $3"
}

control() {
    local file=$OUT/control-$1.txt
    [ -e "$file.passed" ] && return 0
    simulate '' "$1" "$file" || die "seed $1 fails without a bug: $(grep '^BROKEN ' "$file")"
    touch "$file.passed"
}

# The invariant or checker that found it, if it is one that may.
right() {
    local found=$1 allowed
    while IFS= read -r allowed; do
        if [ "$found" = "$(trim "$allowed")" ]; then return 0; fi
    done < <(tr ',' '\n' <<<"$2")
    return 1
}

find_by_simulator() {
    local bug=$1 allowed=$2 seed file found began=$SECONDS
    for ((seed = ${SEEDS%%.*}; seed < ${SEEDS##*.}; seed++)); do
        file=$OUT/$bug.txt
        if ! simulate "$bug" "$seed" "$file"; then
            found=$(sed -n 's/^BROKEN \([^:]*\):.*/\1/p' "$file" | head -n 1)
            control "$seed"
            if right "$found" "$allowed"; then
                printf '%s|simulator: %s|%s seeds, %s s\n' "$bug" "$found" $((seed - ${SEEDS%%.*} + 1)) $((SECONDS - began)) >"$OUT/$bug.row"
                return 0
            fi
            note "$bug: seed $seed was broken by \"$found\", which is not what it is about: $file"
            return 1
        fi
    done
    note "$bug: not found with the seeds $SEEDS"
    return 1
}

# harness BUG ARGUMENTS...
harness() {
    local bug=$1
    shift
    PARTITA_PLANTED_BUG=$bug PARTITA_BIN=$BINARIES/partita timeout "$RUN_SECONDS" "$BINARIES/partita-jepsen" run "$@" \
        --min-ok 200 --keep "$OUT/run-${bug:-none}" >"$OUT/run-${bug:-none}.txt" 2>"$OUT/run-${bug:-none}.log"
}

find_by_harness() {
    local bug=$1 allowed=$2 file=$OUT/run-$1.txt found began=$SECONDS
    read -ra arguments <<<"$3"
    harness '' "${arguments[@]}" || { note "$bug: the run fails without a bug: $OUT/run-none.txt"; return 1; }
    if harness "$bug" "${arguments[@]}"; then note "$bug: the run passed: $file"; return 1; fi
    found=$(sed -nE 's/^  ([a-z ]*[a-z]) +FAILED .*/\1/p' "$file" | head -n 1)
    if right "$found" "$allowed"; then
        printf '%s|harness: %s|%s s\n' "$bug" "$found" $((SECONDS - began)) >"$OUT/$bug.row"
        return 0
    fi
    note "$bug: the run was failed by \"$found\", which is not what it is about: $file"
    return 1
}

find_bug() {
    local line
    line=$(grep -E "^$1 " <<<"$TABLE") || die "there is no bug $1 in the table"
    case $(field "$line" 2) in
    simulate) find_by_simulator "$1" "$(field "$line" 3)" ;;
    run) find_by_harness "$1" "$(field "$line" 3)" "$(field "$line" 4)" ;;
    esac
}

if [ "${1:-}" = --one ]; then
    find_bug "$2"
    exit
elif [ "${1:-}" = --control ]; then
    control "$2"
    exit
fi

mapfile -t bugs < <(if [ -n "${BUGS:-}" ]; then tr ',' '\n' <<<"$BUGS"; else cut -d' ' -f1 <<<"$TABLE"; fi)
CARGO_TARGET_DIR=$DIRECTORY scripts/cargo.sh build --locked --release -p partita-consensus -p partita-api -p partita-jepsen \
    --features partita-api/planted-bugs --bin simulate --bin partita --bin partita-jepsen
rm -rf "$OUT"
mkdir -p "$OUT"
# The program itself says which there are, and ends with an error.
known=$({ PARTITA_PLANTED_BUG='?' "$BINARIES/partita" --version 2>&1 || true; } | sed -n 's/.*there are: //p' | tr -d ' ' | tr ',' '\n')
[ -n "$known" ] || die "the program was built without bugs"
if ! diff <(sort <<<"$known") <(cut -d' ' -f1 <<<"$TABLE" | sort); then die "the table and the program differ"; fi

began=$SECONDS
export SEEDS OUT
# In a program of its own each, so that JOBS at one time can run.
each() { xargs -P "$JOBS" -I{} "$0" "$1" {}; }
seq "${SEEDS%%.*}" $((${SEEDS%%.*} + CONTROLS - 1)) | each --control || die "without a bug not everything passes"
printf '%s\n' "${bugs[@]}" | each --one || true

printf '\n%-29s %-44s %s\n' "bug" "found by" "after"
missing=0
for bug in "${bugs[@]}"; do
    if [ -e "$OUT/$bug.row" ]; then
        IFS='|' read -r name by after <"$OUT/$bug.row"
        printf '%-29s %-44s %s\n' "$name" "$by" "$after"
    else
        printf '%-29s %-44s\n' "$bug" "NOT FOUND"
        missing=$((missing + 1))
    fi
done | tee "$OUT/table.txt"
controls=$(find "$OUT" -name '*.passed' | wc -l)
missing=$((${#bugs[@]} - $(find "$OUT" -name '*.row' | wc -l)))
printf '\n%s bugs, %s not found; %s seeds passed without a bug; %s s\n' "${#bugs[@]}" "$missing" "$controls" $((SECONDS - began))
[ "$missing" -eq 0 ]
