#!/usr/bin/env bash
# Three nodes on this machine (127.0.0.11 to 13), the CDNOW purchases loaded through them, the leader killed in the
# middle. The import goes on with another node, the killed one comes back, all three end with the same head hash, and
# the trial balance is what the purchases must give. Leaves the nodes running until interrupted. From the environment:
#   ONCE=1   check, stop the nodes, exit 0 only if all of it was right
#   PORT=N   HTTP there, raft on the port after it (default: 7070, or the next free two)
#   DATA=DIR keep data, certificates and logs there (must be empty or absent; default: a temporary directory)
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/totals.sh
. "$(dirname "$0")/totals.sh"

NODES=(1 2 3)
READY_SECONDS=60
EQUAL_SECONDS=120
STOP_SECONDS=60
# A purchase takes two decisions: about a third of the way.
KILL_AT=45000
declare -A pids=()
import=
temporary=

cd "$ROOT"
binary=${CARGO_TARGET_DIR:-target}/release/partita

host() { echo "127.0.0.1$1"; }
url() { echo "http://$(host "$1"):$port"; }
log() { echo "$data/node-$1.log"; }

port_answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

ports_are_free() {
    local node
    for node in "${NODES[@]}"; do
        if port_answers "$(host "$node")" "$1" || port_answers "$(host "$node")" $(($1 + 1)); then return 1; fi
    done
}

choose_port() {
    local port
    if [ -n "${PORT:-}" ]; then
        ports_are_free "$PORT" || die "port $PORT or the one after it is taken: choose others with PORT=…"
        echo "$PORT"
        return
    fi
    for port in {7070..7100..2}; do
        if ports_are_free "$port"; then echo "$port"; return; fi
    done
    die "no two free ports from 7070 to 7101: choose with PORT=…"
}

# get NODE PATH: the whole answer, without needing curl on a fresh machine; nothing if there is none.
get() {
    (
        exec 3<>"/dev/tcp/$(host "$1")/$port"
        printf 'GET %s HTTP/1.1\r\nHost: partita\r\nConnection: close\r\n\r\n' "$2" >&3
        timeout 10 cat <&3
    ) 2>/dev/null || true
}

is_ready() { [[ $(get "$1" /readyz) == "HTTP/1.1 200"* ]]; }

# What the node has applied, whoever leads.
position() {
    local answer
    answer=$(get "$1" '/v1/books?consistency=local')
    answer=${answer,,}
    [[ $answer =~ partita-position:\ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0
}

# Position and head hash of what the node has applied.
head_of() {
    local answer position head
    answer=$(get "$1" "/v1/books/demo/reports/trial-balance?as_of=$AS_OF&consistency=local")
    [[ $answer =~ \"position\":([0-9]+) ]] && position=${BASH_REMATCH[1]} || return 0
    [[ $answer =~ \"head\":\"([^\"]+)\" ]] && head=${BASH_REMATCH[1]} || return 0
    echo "$position $head"
}

leader() {
    local answer
    answer=$(get "$1" /v1/cluster)
    [[ $answer =~ \"leader\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || true
}

voters() { get "$1" /v1/cluster | grep -o '"standing":"voter"' | wc -l; }

# start NODE [FLAG…]: out of the terminal's process group, so that Ctrl-C reaches this script first.
start() {
    local node=$1
    shift
    set -m
    "$binary" serve --node-id "$node" --data "$data/node-$node" --listen "$(host "$node"):$port" \
        --raft-listen "$(host "$node"):$((port + 1))" --tls-ca "$data/certs/ca.pem" \
        --tls-cert "$data/certs/node-$node.pem" --tls-key "$data/certs/node-$node-key.pem" "$@" \
        >>"$(log "$node")" 2>&1 </dev/null &
    pids[$node]=$!
    set +m
}

# wait_for SECONDS WHAT COMMAND…
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || die "$what did not happen in time (logs: $data/node-*.log)"
        sleep 0.1
    done
}

wait_until_ready() {
    local deadline=$((SECONDS + READY_SECONDS))
    until is_ready "$1"; do
        kill -0 "${pids[$1]}" 2>/dev/null || die "node $1 stopped before it was ready (its log: $(log "$1"))"
        [ "$SECONDS" -lt "$deadline" ] || die "node $1 was not ready in time (its log: $(log "$1"))"
        sleep 0.1
    done
}

all_vote() { [ "$(voters 1)" -eq "${#NODES[@]}" ]; }

is_past() { [ "$(position "$1")" -ge "$2" ]; }

heads_are_equal() {
    local node first head
    first=$(head_of 1)
    [ -n "$first" ] || return 1
    for node in "${NODES[@]}"; do
        head=$(head_of "$node")
        [ "$head" = "$first" ] || return 1
    done
    echo "All three nodes are at position ${first% *} with the head ${first#* }."
}

# Asks every node to finish and waits for it; fails when one does not end by itself, or ends badly.
stop_nodes() {
    local node deadline=$((SECONDS + STOP_SECONDS)) code=0
    for node in "${!pids[@]}"; do kill -TERM "${pids[$node]}" 2>/dev/null || true; done
    for node in "${!pids[@]}"; do
        while kill -0 "${pids[$node]}" 2>/dev/null; do
            if [ "$SECONDS" -ge "$deadline" ]; then
                note "node $node did not stop within $STOP_SECONDS seconds of SIGTERM: killing it"
                kill -KILL "${pids[$node]}" 2>/dev/null || true
                code=1
                break
            fi
            sleep 0.1
        done
        wait "${pids[$node]}" || { note "node $node ended badly (its log: $(log "$node"))"; code=1; }
        unset "pids[$node]"
    done
    return "$code"
}

clean_up() {
    local code=$?
    trap - EXIT
    trap '' INT TERM
    if [ -n "$import" ]; then kill -TERM "$import" 2>/dev/null || true; fi
    if [ "${#pids[@]}" -gt 0 ]; then stop_nodes || code=1; fi
    if [ -n "$temporary" ]; then
        # What went wrong is in the logs: keep them then. 130 and 143 are the reader's own end.
        case $code in
        0 | 130 | 143) rm -rf "$temporary" ;;
        *) note "kept for a look: $temporary" ;;
        esac
    fi
    exit "$code"
}

if [ -n "${DATA:-}" ]; then
    data=$DATA
    mkdir -p "$data"
    if [ -n "$(ls -A "$data")" ]; then die "$data is not empty: the cluster starts from nothing"; fi
else
    temporary=$(mktemp -d "${TMPDIR:-/tmp}/partita-cluster.XXXXXX")
    data=$temporary
fi
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

scripts/cargo.sh build --locked --release --bin partita
port=$(choose_port)
urls=$(url 1),$(url 2),$(url 3)

"$binary" cluster certs --dir "$data/certs" --node 1="$(host 1)" --node 2="$(host 2)" --node 3="$(host 3)" >/dev/null
start 1
wait_until_ready 1
for node in 2 3; do start "$node" --join "$(host 1):$((port + 1))"; done
for node in 2 3; do wait_until_ready "$node"; done
wait_for "$READY_SECONDS" "the promotion of nodes 2 and 3" all_vote
"$binary" cluster status --url "$urls"

"$binary" import examples/cdnow.csv --url "$urls" --book demo --create-book --retry-for 60 &
import=$!
wait_for 600 "the import's first third" is_past 1 "$KILL_AT"
victim=$(leader 1)
[ -n "$victim" ] || die "nobody leads"
kill -0 "$import" 2>/dev/null || die "the import ended before the leader could be killed"
kill -KILL "${pids[$victim]}"
wait "${pids[$victim]}" 2>/dev/null || true
unset "pids[$victim]"
witness=$((victim % 3 + 1))
before=$(position "$witness")
killed_at=${EPOCHREALTIME/[.,]/}
echo "Node $victim led and was killed at position $before, in the middle of the import."
wait_for 60 "the next decision" is_past "$witness" $((before + 1000))
echo "A thousand decisions later, after $(((${EPOCHREALTIME/[.,]/} - killed_at) / 1000)) ms, node $(leader "$witness") leads."
start "$victim"
wait "$import" || die "the import failed"
import=
wait_until_ready "$victim"
wait_for "$EQUAL_SECONDS" "the same head on all nodes" heads_are_equal
echo
"$binary" cluster status --url "$urls"
"$binary" trial-balance --url "$(url "$victim")" --book demo --as-of "$AS_OF"
check_totals "$(url "$victim")" || die "the totals are wrong"

if [ -n "${ONCE:-}" ] && [ "$ONCE" != 0 ]; then
    stop_nodes || die "a node did not end well"
    printf '\nThe totals are right.\n'
    exit 0
fi

cat <<EOT

The totals are right. The nodes listen on $urls (data and logs: $data).
Go on, for example:
  $binary cluster status --url $(url 2)
  $binary cluster transfer-leader --url $(url 2)
  kill -KILL ${pids[1]}    # node 1
Ctrl-C stops them all.
EOT
wait
die "all nodes ended by themselves (logs: $data/node-*.log)"
