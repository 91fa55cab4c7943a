#!/usr/bin/env bash
# The usual ledger on PostgreSQL beside Partita: the same workload, in the same run, on the same disk, in turn.
#
# PostgreSQL: accounts, transfers with a unique key, one function per transfer that inserts it and updates both balances
# in one transaction; fsync and synchronous_commit on. It is spared what a service would have besides: keys are numbers
# that only grow, a Unix socket instead of HTTP, and in batches it makes up the transfers itself. From the environment:
#   RUNS=N       how often each load is run on each; shown are the medians (default 3)
#   SECONDS_EACH=N  measured seconds of each (default 5)
#   DIR=DIR      where both keep their data while it runs (default: a temporary directory)
# PostgreSQL's Debian package is installed where it is missing. A private cluster is made in a temporary directory, with
# no port but a socket in it, and removed in the end, whatever happens.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

cd "$ROOT"
runs=${RUNS:-3}
seconds=${SECONDS_EACH:-5}
accounts=10000

find_postgres() {
    local bin
    if command -v pg_config >/dev/null && bin=$(pg_config --bindir) && [ -x "$bin/initdb" ]; then
        printf '%s\n' "$bin"
        return 0
    fi
    # Debian keeps its programs beside each other by version; the newest.
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [ -x "$bin/initdb" ] && [ -x "$bin/pgbench" ] && printf '%s\n' "$bin"
}

scripts/setup.sh
find_postgres >/dev/null || scripts/setup.sh --peers
bin=$(find_postgres) || die "PostgreSQL was not found after the installation"
scripts/cargo.sh build --locked --release --bin partita
partita=$PWD/${CARGO_TARGET_DIR:-target}/release/partita
case ${CARGO_TARGET_DIR:-} in /*) partita=$CARGO_TARGET_DIR/release/partita ;; esac

# PostgreSQL does not run as root.
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    # It takes the place of the shell's child: that one's id is the server's.
    as_user=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --)
fi

work=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/partita-peers.XXXXXX")
server=
finish() {
    if [ -n "$server" ]; then
        # Its data goes with it: nothing is to be written any more.
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work"
mkdir "$work/pg" "$work/partita"
if [ "${#as_user[@]}" -gt 0 ]; then chown "$user" "$work/pg"; fi
pg=$work/pg

query() { "${as_user[@]}" "$bin/psql" -X -q -h "$pg" -U ledger -d postgres -v ON_ERROR_STOP=1 "$@"; }

start_postgres() {
    rm -rf "$pg/data"
    "${as_user[@]}" "$bin/initdb" -D "$pg/data" -U ledger -A trust -E UTF8 --no-locale --no-sync >"$pg/log" 2>&1 \
        || { cat "$pg/log" >&2; die "initdb failed"; }
    # As much memory as a node of Partita takes by itself; checkpoints far apart; all that is promised is kept.
    "${as_user[@]}" "$bin/postgres" -D "$pg/data" -c listen_addresses= -c unix_socket_directories="$pg" \
        -c fsync=on -c synchronous_commit=on -c full_page_writes=on -c shared_buffers=1GB -c max_wal_size=4GB \
        -c max_connections=100 >>"$pg/log" 2>&1 &
    server=$!
    local tries=0
    until query -c 'SELECT 1' >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then tail "$pg/log" >&2; die "PostgreSQL did not start"; fi
        sleep 0.1
    done
    query >/dev/null <<SQL
CREATE TABLE accounts (id int PRIMARY KEY, debits bigint NOT NULL DEFAULT 0, credits bigint NOT NULL DEFAULT 0)
    WITH (fillfactor = 50);
CREATE TABLE transfers (key bigint PRIMARY KEY, debit int NOT NULL REFERENCES accounts, credit int NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0), recorded_at timestamptz NOT NULL DEFAULT now());
INSERT INTO accounts (id) SELECT generate_series(0, $accounts - 1);
-- One transfer: false where its key was there. Accounts are taken in one order, so that two transfers cannot wait for
-- each other.
CREATE FUNCTION transfer(a_key bigint, a_debit int, a_credit int, an_amount bigint) RETURNS boolean LANGUAGE plpgsql AS \$\$
BEGIN
    INSERT INTO transfers (key, debit, credit, amount) VALUES (a_key, a_debit, a_credit, an_amount) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    IF a_debit < a_credit THEN
        UPDATE accounts SET debits = debits + an_amount WHERE id = a_debit;
        UPDATE accounts SET credits = credits + an_amount WHERE id = a_credit;
    ELSE
        UPDATE accounts SET credits = credits + an_amount WHERE id = a_credit;
        UPDATE accounts SET debits = debits + an_amount WHERE id = a_debit;
    END IF;
    RETURN true;
END \$\$;
-- A loop of them in one transaction.
CREATE FUNCTION transfers_loop(first bigint, count int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE a_debit int;
BEGIN
    FOR i IN 0 .. count - 1 LOOP
        a_debit := floor(random() * $accounts);
        PERFORM transfer(first + i, a_debit, (a_debit + 1 + floor(random() * ($accounts - 1))::int) % $accounts, 100);
    END LOOP;
END \$\$;
-- All of them as a set: one INSERT, one UPDATE of every balance that changes.
CREATE FUNCTION transfers_set(first bigint, count int) RETURNS void LANGUAGE sql AS \$\$
    WITH drawn AS MATERIALIZED (
        SELECT first + i AS key, floor(random() * $accounts)::int AS debit, floor(random() * ($accounts - 1))::int AS step
        FROM generate_series(0, count - 1) AS i),
    posted AS (
        INSERT INTO transfers (key, debit, credit, amount)
        SELECT key, debit, (debit + 1 + step) % $accounts, 100 FROM drawn ON CONFLICT DO NOTHING
        RETURNING debit, credit, amount),
    moved AS (
        SELECT id, sum(debits) AS debits, sum(credits) AS credits FROM (
            SELECT debit AS id, amount AS debits, 0 AS credits FROM posted
            UNION ALL SELECT credit, 0, amount FROM posted) AS sides GROUP BY id)
    UPDATE accounts SET debits = accounts.debits + moved.debits, credits = accounts.credits + moved.credits
    FROM moved WHERE accounts.id = moved.id;
\$\$;
ANALYZE;
SQL
}

stop_postgres() {
    kill -INT "$server"
    wait "$server" || true
    server=
}

# The usual ledger's throughput, into a file, and that it lost and invented nothing.
measure_postgres() { # clients transfers-per-request statement
    local clients=$1 size=$2 said tps wrong
    start_postgres
    printf '%s\n' "\\set seq :seq + 1" "\\set key :client_id * 1000000000000 + :seq * $size" \
        "\\set debit random(0, $accounts - 1)" "\\set credit mod(:debit + 1 + random(0, $accounts - 2), $accounts)" "$3" >"$pg/script"
    # A second to warm up, which is not counted.
    "${as_user[@]}" "$bin/pgbench" -n -h "$pg" -U ledger -M prepared -c "$clients" -j 1 -T 1 -D seq=0 -f "$pg/script" postgres \
        >"$pg/said" 2>&1 || { cat "$pg/said" >&2; die "pgbench failed"; }
    "${as_user[@]}" "$bin/pgbench" -n -h "$pg" -U ledger -M prepared -c "$clients" -j 1 -T "$seconds" -D seq=1000000000 \
        -f "$pg/script" postgres >"$pg/said" 2>&1 || { cat "$pg/said" >&2; die "pgbench failed"; }
    said=$(cat "$pg/said")
    tps=$(printf '%s\n' "$said" | awk '/^tps = / {print $3}')
    printf '%s\n' "$said" | grep -q 'number of failed transactions: 0 ' || { printf '%s\n' "$said" >&2; die "transactions failed"; }
    wrong=$(query -At -c 'SELECT count(*) = 0 OR sum(amount) <> (SELECT sum(debits) FROM accounts)
        OR sum(amount) <> (SELECT sum(credits) FROM accounts) FROM transfers')
    [ "$wrong" = f ] || die "PostgreSQL's balances are not what its transfers add up to"
    stop_postgres
    awk -v tps="$tps" -v size="$size" 'BEGIN {printf "%.0f\n", tps * size}' >>"$work/postgres-results"
}

measure_partita() { # load
    "$partita" bench --only "$1" --runs 1 --seconds "$seconds" --dir "$work/partita" --format csv \
        | awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "writes/s") column = i} NR == 2 {print $column}' \
        >>"$work/partita-results"
}

median() { sort -n "$1" | awk '{of[NR] = $1} END {print of[int((NR + 1) / 2)]}'; }

one='SELECT transfer(:key, :debit, :credit, 100);'
printf '%-34s %14s %14s %8s\n' "transfers/s, medians of $runs runs" PostgreSQL Partita ratio
while IFS='|' read -r name clients size statement load; do
    rm -f "$work"/*-results
    # In turn: what changes with time changes for both. What they read is not the list of loads.
    for ((run = 0; run < runs; run++)); do
        measure_postgres "$clients" "$size" "$statement" </dev/null
        measure_partita "$load" </dev/null
    done
    postgres=$(median "$work/postgres-results")
    ours=$(median "$work/partita-results")
    if [ -z "$postgres" ] || [ -z "$ours" ]; then die "$name was not measured"; fi
    awk -v name="$name" -v theirs="$postgres" -v ours="$ours" \
        'BEGIN {printf "%-34s %14d %14d %8.1f\n", name, theirs, ours, ours / theirs}'
done <<LOADS
one at a time, 1 client|1|1|$one|single-1
one at a time, 32 clients|32|1|$one|single-32
batches of 1,000 (a loop), 1 client|1|1000|SELECT transfers_loop(:key, 1000);|batch-1000-one
batches of 8,000 (a set), 1 client|1|8000|SELECT transfers_set(:key, 8000);|batch-8000-one
LOADS
echo "$("$bin/postgres" --version); fsync and synchronous_commit on; Partita on the same disk, through HTTP"
