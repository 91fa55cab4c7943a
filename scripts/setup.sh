#!/usr/bin/env bash
# Installs what building Partita needs and this machine lacks: a C++ compiler, make, pkg-config and libclang (for
# RocksDB and its bindings). Does nothing when all is there. Rust's toolchain is not installed here, only looked for.
# --tests adds the accounting programs that the tests hold exports against, and what --chaos does: what lets clocks be set
# and disks lose their power (libfaketime, xfs_io, mkfs.ext4, ip, nsenter). Where they cannot be installed this
# only says so: the faults that need them are left out. --peers adds the database that make bench-peers compares with.
# --check says what is missing and installs nothing.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

# bindgen loads libclang.so at run time and needs clang's own headers (stddef.h) beside it.
have_libclang() {
    if [ -n "${LIBCLANG_PATH:-}" ]; then return 0; fi
    local library headers
    for library in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib*/libclang*.so* /usr/lib/*-linux-gnu/libclang*.so* \
        /usr/local/lib/libclang*.so*; do
        [ -e "$library" ] || continue
        for headers in /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h \
            /usr/local/lib/clang/*/include/stddef.h; do
            if [ -e "$headers" ]; then return 0; fi
        done
    done
    return 1
}

# Debian keeps a server's programs out of the path.
have_postgres() {
    local program
    for program in /usr/lib/postgresql/*/bin/initdb; do
        if [ -x "$program" ]; then return 0; fi
    done
    have initdb && have pgbench
}

missing_packages() {
    have "${CXX:-c++}" || echo g++
    have make || echo make
    have pkg-config || echo pkg-config
    have_libclang || echo libclang-dev
    if $for_tests; then
        have hledger || echo hledger
        have ledger || echo ledger
        { have bean-check && have bean-query && have bean-example; } || echo beancount
    fi
    if $for_peers; then
        have_postgres || echo postgresql
    fi
}

# What makes more kinds of fault possible. Without them those are left out, and reports say so.
missing_for_faults() {
    if ! $for_tests && ! $for_chaos; then return; fi
    have_libfaketime || echo libfaketime
    have_sbin xfs_io || echo xfsprogs
    have_sbin mkfs.ext4 || echo e2fsprogs
    have_sbin ip || echo iproute2
    have nsenter || echo util-linux
}

have_libfaketime() { compgen -G '/usr/lib*/*/faketime/libfaketimeMT.so.1' >/dev/null; }

# Programs of the administrator are not in everybody's path.
have_sbin() { have "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

check_rust() {
    if ! have cargo || ! have rustc; then
        die "cargo was not found. Install Rust's toolchain (https://rustup.rs), open a new shell and run this again."
    fi
    # rustup may have only its proxies and no toolchain: ask, rather than trust the file's existence.
    local wanted found
    found=$(rustc --version | awk '{print $2}') || die "rustc is there but does not run (no default toolchain?)"
    wanted=$(awk -F'"' '/^rust-version *=/ {print $2; exit}' "$(dirname "$0")/../Cargo.toml")
    if [ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
        die "Rust $found is too old: $wanted or later is needed (rustup update)."
    fi
}

# Prints the words to put before a command that needs root.
root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        echo env
    elif have sudo && [ -t 0 ]; then
        echo sudo
    elif have sudo && sudo -n true 2>/dev/null; then
        echo sudo -n
    else
        return 1
    fi
}

install_packages() {
    local packages=("$@") as_root
    have apt-get || die "please install with your package manager: ${packages[*]} (no apt-get here to do it)"
    as_root=$(root_prefix) \
        || die "please run as root: apt-get install ${packages[*]} (neither root nor sudo without a password here)"
    # shellcheck disable=SC2206  # the prefix is one or two plain words
    local apt=($as_root env DEBIAN_FRONTEND=noninteractive apt-get)
    local install=(install -y --no-install-recommends "${packages[@]}")
    # Debian's package would make and start a cluster of its own; whoever has settings for that keeps them.
    if [[ " ${packages[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        # shellcheck disable=SC2086  # the prefix is one or two plain words
        $as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    say "installing ${packages[*]}"
    # A fresh image has no package lists, an old one has stale ones: fetch them only when needed.
    if ! "${apt[@]}" "${install[@]}" </dev/null >&2; then
        say "fetching the package lists first"
        "${apt[@]}" update </dev/null >&2 || die "apt-get update failed: is the network there?"
        "${apt[@]}" "${install[@]}" </dev/null >&2 || die "apt-get could not install ${packages[*]}"
    fi
}

for_tests=false for_chaos=false for_peers=false check_only=false
for argument in "$@"; do
    case "$argument" in
        --tests) for_tests=true ;;
        --chaos) for_chaos=true ;;
        --peers) for_peers=true ;;
        --check) check_only=true ;;
        *) die "unknown argument $argument (--tests, --chaos, --peers, --check)" ;;
    esac
done
check_rust
mapfile -t missing < <(missing_packages)
mapfile -t wanted < <(missing_for_faults)
if [ $((${#missing[@]} + ${#wanted[@]})) -eq 0 ]; then exit 0; fi
if $check_only; then die "missing: ${missing[*]} ${wanted[*]}"; fi
if [ "${#wanted[@]}" -ne 0 ]; then
    # Most of their faults need root anyway.
    if have apt-get && root_prefix >/dev/null; then
        missing+=("${wanted[@]}")
    else
        say "some kinds of fault will be left out: not installed without root: ${wanted[*]}"
    fi
fi
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi
install_packages "${missing[@]}"
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -ne 0 ]; then die "still missing after the installation: ${missing[*]}"; fi
