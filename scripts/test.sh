#!/usr/bin/env bash
# Everything that has to hold, in one command. The last thing it prints is the summary of the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

# What a fresh machine may lack.
if ! command -v cargo >/dev/null; then
    echo "A Rust toolchain is needed (see rust-version in Cargo.toml): cargo was not found." >&2
    exit 1
fi
if ! command -v cc >/dev/null; then
    say "installing a C compiler"
    apt-get update -q && apt-get install -y --no-install-recommends gcc libc6-dev
fi
if ! command -v redis-server >/dev/null; then
    say "installing a Redis server: the tests start their own, on sockets of their own"
    apt-get update -q && apt-get install -y --no-install-recommends redis-server
fi
# A storm of a thousand sockets with client and server in one process needs more than the usual soft limit.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

say "format"
cargo fmt --all --check
cargo fmt --manifest-path auth-core/fuzz/Cargo.toml --check

say "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo clippy -p auth-core --all-targets --all-features --locked -- -D warnings

say "clippy, of the fuzz targets: not linked, so that no C++ compiler is needed"
cargo clippy --manifest-path auth-core/fuzz/Cargo.toml --locked --no-default-features --target-dir target -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

say "each crate without its default features, and with all"
for crate in auth-core auth-stores auth-testkit notes_sdk; do
    cargo check -p "$crate" --locked --no-default-features
    cargo check -p "$crate" --locked --all-features
done
cargo check -p auth-stores --locked --no-default-features --features redis
# The choices of TLS exclude each other in practice and compile other people's C: apart.
cargo check -p auth-reqwest --locked --no-default-features
cargo check -p auth-isahc --locked --no-default-features

say "nothing has to be Send: --cfg auth_local"
RUSTFLAGS="--cfg auth_local" cargo check -p auth-core -p auth-dpop --locked --all-features --target-dir target/local

say "model checking: --cfg auth_shuttle"
RUSTFLAGS="--cfg auth_shuttle" \
    cargo clippy -p auth-core --lib --profile test --locked --target-dir target/shuttle -- -D warnings
scripts/check-schedules.sh

say "the seam: no HTTP library and no runtime in auth-core"
scripts/check-seams.sh

say "tests of the feature tracing"
cargo test -p auth-core --locked --features tracing --test traces --test fast_path

say "tests of the stores, Redis included"
cargo test -p auth-stores --locked --all-features

say "tests"
cargo test --workspace --locked
