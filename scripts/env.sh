# shellcheck shell=bash
# Sourced by the other scripts, never run: where the cache is, and RocksDB from it.
#
# Compiling RocksDB takes ten to twenty minutes. The archive that the librocksdb-sys crate itself built is kept outside
# the clone and given back to the crate through ROCKSDB_LIB_DIR and ROCKSDB_STATIC, so that only the first build on a
# machine pays. It is keyed by everything that shapes its bytes. Without a cache all still works, only slower.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# No HOME and no cache directory: an empty value turns the cache off.
if [ -n "${PARTITA_CACHE:-}" ]; then
    CACHE=$PARTITA_CACHE
elif [ -n "${XDG_CACHE_HOME:-}" ]; then
    CACHE=$XDG_CACHE_HOME/partita
elif [ -n "${HOME:-}" ]; then
    CACHE=$HOME/.cache/partita
else
    CACHE=
fi

note() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { note "$*"; exit 1; }

# .cargo/config.toml builds for processors with these; on another the build is for any.
if [ -z "${RUSTFLAGS+set}" ] && [ "$(uname -m)" = x86_64 ] && [ -r /proc/cpuinfo ]; then
    has=" $(sed -n '/^flags/{s/.*: *//p;q}' /proc/cpuinfo) "
    for flag in avx2 bmi1 bmi2 f16c fma abm movbe pclmulqdq; do
        case $has in
        *" $flag "*) ;;
        *)
            note "this processor lacks $flag: building for any x86-64, which is slower"
            export RUSTFLAGS='--cfg tokio_unstable'
            break
            ;;
        esac
    done
fi

# Environment variables that cargo, the cc crate or the build script turn into compiler flags.
ROCKSDB_VARIABLES='((HOST|TARGET)_)?C(XX|PP)?FLAGS|C(XX)?FLAGS_[^=]*|CRATE_CC_NO_DEFAULTS|ROCKSDB_CXX_STD|CXXSTDLIB'
ROCKSDB_VARIABLES+='|(CARGO_ENCODED_|CARGO_BUILD_)?RUSTFLAGS|CARGO_TARGET_[^=]*_RUSTFLAGS'
ROCKSDB_VARIABLES+='|CARGO_PROFILE_RELEASE_(OPT_LEVEL|DEBUG)'

# The lines that decide RocksDB's bytes: crate versions and features, target, the C++ compiler, and the flags that the
# crate's build script and the cc crate pass on to it (target-cpu among them, which comes from rustflags).
rocksdb_recipe() {
    local target=${CARGO_BUILD_TARGET:-}
    if [ -z "$target" ]; then target=$(rustc -vV | awk '/^host:/ {print $2}') || return 1; fi
    printf 'target %s\n' "$target"
    (cd "$ROOT" && cargo tree --locked --quiet -p librocksdb-sys --depth 0 -e normal -f 'crate {p} features {f}') \
        || return 1
    awk -F'"' '/^name = "(librocksdb-sys|lz4-sys)"/ {n = $2} n && /^(version|checksum) = / {print n, $2} /^$/ {n = ""}' \
        "$ROOT/Cargo.lock"
    printf 'compiler %s %s\n' "${CXX:-c++}" "$("${CXX:-c++}" --version | head -n 1)"
    awk '/^\[/ {inside = ($0 == "[profile.release]")} inside && /^(opt-level|debug) *=/' "$ROOT/Cargo.toml"
    # cargo reads rustflags from the clone and from its home; an absent file contributes nothing.
    cat "$ROOT/.cargo/config.toml" "${CARGO_HOME:-${HOME:-}/.cargo}/config.toml" 2>/dev/null \
        | grep -E 'rustflags|target-(cpu|feature)|C(XX)?FLAGS' || true
    env | LC_ALL=C sort | grep -E "^($ROCKSDB_VARIABLES)=" || true
}

# The archive's own checksum stands beside it and is checked on every use.
rocksdb_entry_is_whole() {
    [ -f "$1/librocksdb.a" ] && [ -f "$1/librocksdb.a.sha256" ] \
        && (cd "$1" && sha256sum --status --check librocksdb.a.sha256)
}

# rocksdb_keep ARCHIVE ENTRY RECIPE: a directory appears under its final name only when it is complete.
rocksdb_keep() {
    local archive=$1 entry=$2 recipe=$3 parent temporary
    parent=$(dirname "$entry")
    mkdir -p "$parent" || return 1
    temporary=$(mktemp -d "$parent/.incoming.XXXXXX") || return 1
    if cp "$archive" "$temporary/librocksdb.a" \
        && (cd "$temporary" && sha256sum librocksdb.a >librocksdb.a.sha256) \
        && printf '%s\n' "$recipe" >"$temporary/recipe.txt" \
        && chmod 755 "$temporary" \
        && mv -T "$temporary" "$entry" 2>/dev/null; then
        return 0
    fi
    rm -rf "$temporary"
    # Another build may have been first; its archive is as good as ours.
    rocksdb_entry_is_whole "$entry"
}

# Compiles librocksdb-sys in the clone and prints where the archive is. Cargo's JSON names the directory.
rocksdb_compile() {
    local messages out_dir
    messages=$(cd "$ROOT" && cargo build --locked --release -p librocksdb-sys --message-format json-render-diagnostics </dev/null) \
        || return 1
    out_dir=$(printf '%s\n' "$messages" \
        | sed -n '/"build-script-executed"/{/librocksdb-sys/s/.*"out_dir":"\([^"]*\)".*/\1/p}' | tail -n 1)
    [ -f "$out_dir/librocksdb.a" ] || return 1
    printf '%s\n' "$out_dir/librocksdb.a"
}

# Exports ROCKSDB_LIB_DIR and ROCKSDB_STATIC, compiling and keeping RocksDB first where the cache has none.
rocksdb_ready() {
    if [ -n "${ROCKSDB_LIB_DIR:-}" ] || [ -n "${ROCKSDB_COMPILE:-}" ]; then return 0; fi
    if [ -z "$CACHE" ]; then note "no cache directory (set PARTITA_CACHE): RocksDB is compiled in the clone"; return 0; fi
    local recipe key entry archive
    recipe=$(rocksdb_recipe) || die "could not resolve the dependencies (is the package registry reachable?)"
    key=$(printf '%s\n' "$recipe" | sha256sum | cut -c 1-16)
    entry=$CACHE/rocksdb/$key
    if [ -e "$entry" ] && ! rocksdb_entry_is_whole "$entry"; then
        note "$entry is damaged (its checksum differs): it is removed and RocksDB compiled again"
        rm -rf "$entry"
    fi
    if [ ! -e "$entry" ]; then
        note "compiling RocksDB, once on this machine: ten to twenty minutes on two cores"
        archive=$(rocksdb_compile) || die "RocksDB did not compile (see above)"
        if ! rocksdb_keep "$archive" "$entry" "$recipe"; then
            note "could not write $entry: RocksDB stays in this clone only"
            entry=$(dirname "$archive")
        fi
    fi
    export ROCKSDB_LIB_DIR=$entry ROCKSDB_STATIC=1
}
