#!/usr/bin/env bash
# One node on an empty directory, a book with the `saas` chart, the CDNOW purchases over HTTP, and the trial balance.
# Leaves the server running until interrupted. From the environment:
#   ONCE=1   check the totals exactly, stop the server, exit 0 only if all of it was right
#   PORT=N   listen there (default: 7070, or the next free one)
#   DATA=DIR keep the data there (must be empty or absent; default: a temporary directory, removed at the end)
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/totals.sh
. "$(dirname "$0")/totals.sh"

READY_SECONDS=60
STOP_SECONDS=60
server=
temporary=

cd "$ROOT"
binary=${CARGO_TARGET_DIR:-target}/release/partita

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

choose_port() {
    local port
    if [ -n "${PORT:-}" ]; then
        if port_answers "$PORT"; then die "port $PORT is taken: choose another with PORT=…"; fi
        echo "$PORT"
        return
    fi
    for port in {7070..7100}; do
        if ! port_answers "$port"; then echo "$port"; return; fi
    done
    die "no free port from 7070 to 7100: choose one with PORT=…"
}

# The status line of GET PATH, without needing curl on a fresh machine.
status_of() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$1" >&3
        IFS=' ' read -r -t 5 _ status _ <&3
        printf '%s\n' "$status"
    ) 2>/dev/null
}

wait_until_ready() {
    local deadline=$((SECONDS + READY_SECONDS))
    while [ "$(status_of /readyz)" != 200 ]; do
        kill -0 "$server" 2>/dev/null || die "the server stopped before it was ready (its log: $log)"
        [ "$SECONDS" -lt "$deadline" ] || die "the server was not ready within $READY_SECONDS seconds (its log: $log)"
        sleep 0.1
    done
}

# Asks the server to finish and waits for it; fails when it does not end by itself, or ends badly.
stop_server() {
    local deadline=$((SECONDS + STOP_SECONDS)) code=0
    kill -TERM "$server" 2>/dev/null || true
    while kill -0 "$server" 2>/dev/null; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            note "the server did not stop within $STOP_SECONDS seconds of SIGTERM: killing it"
            kill -KILL "$server" 2>/dev/null || true
            wait "$server" 2>/dev/null || true
            server=
            return 1
        fi
        sleep 0.1
    done
    wait "$server" || code=$?
    server=
    [ "$code" -eq 0 ] || note "the server ended with exit code $code (its log: $log)"
    return "$code"
}

clean_up() {
    local code=$?
    trap - EXIT
    # The server is outside the terminal's process group: a second Ctrl-C must not leave it behind.
    trap '' INT TERM
    if [ -n "$server" ]; then stop_server || code=1; fi
    if [ -n "$temporary" ]; then
        # What went wrong is in the log: keep it then. 130 and 143 are the reader's own end of the demo.
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
    if [ -n "$(ls -A "$data")" ]; then die "$data is not empty: the demo starts from nothing"; fi
    log=$data.log
else
    temporary=$(mktemp -d "${TMPDIR:-/tmp}/partita-demo.XXXXXX")
    data=$temporary/data
    log=$temporary/server.log
fi
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

scripts/cargo.sh build --locked --release --bin partita
port=$(choose_port)
url=http://127.0.0.1:$port
# Out of the terminal's process group, so that Ctrl-C reaches this script first and the server is asked in order.
set -m
"$binary" serve --data "$data" --listen "127.0.0.1:$port" >"$log" 2>&1 </dev/null &
server=$!
set +m
wait_until_ready

"$binary" import examples/cdnow.csv --url "$url" --book demo --create-book
echo
"$binary" trial-balance --url "$url" --book demo --as-of "$AS_OF"
if ! "$binary" balance --url "$url" --book demo liabilities:unapplied-cash --format csv | grep -q USD; then
    printf 'Unapplied cash is zero and has no row: nothing was ever posted to it.\n'
fi

if [ -n "${ONCE:-}" ] && [ "$ONCE" != 0 ]; then
    check_totals "$url" || die "the totals are wrong"
    stop_server || die "the server did not end well"
    printf '\nThe totals are right.\n'
    exit 0
fi

cat <<EOF

The server listens on $url (data: $data, log: $log).
Go on, for example:
  curl $url/v1/books/demo/accounts/assets:receivable/balance
  curl $url/v1/books/demo/charges/in_000001
Ctrl-C stops it.
EOF
wait "$server" || die "the server ended by itself (its log: $log)"
