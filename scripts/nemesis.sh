# shellcheck shell=bash
# Sourced by chaos.sh and soak.sh: the mixes of faults, and one run of a mix.

# Words of the mixes; what this machine does not allow is left out and said.
mix_processes="kill-one kill-leader kill-minority kill-all pause-leader pause-one hand-over"
mix_ways="isolate-leader halves one-way ring flapping cut-and-pause kill-leader"
mix_proxies="slow-ways resets isolate-leader flapping one-way halves pause-leader kill-one"
mix_disks="power-loss power-loss-all syncs-fail slow-disk short-disk full-disk slow-and-isolate cut-and-power-loss"
mix_clocks="clock-jump clock-strobe clock-and-kill pause-leader kill-minority isolate-leader"
mix_damage="damage-log damage-table damage-manifest damage-snapshot kill-one"
mix_members="replace lose-data grow-and-shrink hand-over kill-leader one-way"

# Kinds of fault that this machine allows, one a line; the others are named once, with their reasons.
possible_faults() {
    "$binaries/partita-jepsen" faults | tee >(grep 'not here' >&2 || true) | awk '!/not here/ {print $1}'
}

# allowed MIX...: the kinds of these mixes that are possible here, separated by commas.
allowed() {
    local mix kind kinds=
    for mix in "$@"; do
        local words="mix_$mix"
        for kind in ${!words}; do
            if grep -qx "$kind" <<<"$possible" && ! grep -qx "$kind" <<<"${kinds//,/$'\n'}"; then
                kinds+=${kinds:+,}$kind
            fi
        done
    done
    printf '%s\n' "$kinds"
}

# one_run DIRECTORY SECONDS ARGUMENTS...: a run with a limit of time; of one that passed only the reports are kept.
one_run() {
    local directory=$1 seconds=$2 code=0
    shift 2
    rm -rf "$directory"
    mkdir -p "$directory"
    timeout --kill-after=120 $((seconds * 3 + 900)) "$binaries/partita-jepsen" run --time "$seconds" \
        --keep "$directory" "$@" >"$directory/output.txt" 2>"$directory/harness.log" || code=$?
    head -n 1 "$directory/output.txt"
    if [ "$code" -eq 0 ]; then
        # Data and history of a run that passed say nothing that its reports do not.
        rm -rf "$directory"/node-* "$directory/history.jsonl"
    else
        note "$directory failed (exit code $code); its history and the nodes' logs are kept"
        tail -n 3 "$directory/harness.log" >&2
    fi
    return "$code"
}
