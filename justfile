# The commands of this project. CI runs `test`.

# Everything that has to hold.
test:
    scripts/test.sh

# The demonstration: a storm of 401s against a real server.
storm *args:
    cargo run --release -p examples --bin storm -- {{args}}

# Processes that share one sign-in: `just fleet --store redis --kill`.
fleet *args:
    cargo run --release -p examples --bin fleet -- {{args}}

# A day of thousands of sessions on many processes, in virtual time.
beyond *args:
    cargo run --release -p examples --bin beyond -- {{args}}

# Format and lint.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation, as users see it.
doc:
    cargo doc --workspace --no-deps --open

# That auth-core has neither an HTTP library nor a runtime in its tree.
seams:
    scripts/check-seams.sh

# What the tests would not notice: `just mutants -f 'auth-core/src/session/queue.rs'`.
mutants *args:
    cargo mutants -p auth-core --timeout 120 {{args}} -- --tests

# The model checker, on so many times as many schedules as usual, and on others each time.
shuttle times="10" *names:
    AUTH_SHUTTLE_TIMES={{times}} AUTH_SHUTTLE_SEED="${AUTH_SHUTTLE_SEED:-$(date +%s)}" scripts/check-schedules.sh {{names}}

# Looks for an input that breaks a parser: challenges, token_response, stored_tokens or origin. Needs cargo-fuzz and a C++ compiler.
fuzz target *args:
    mkdir -p auth-core/fuzz/corpus/{{target}}
    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir auth-core/fuzz {{target}} \
        auth-core/fuzz/corpus/{{target}} auth-core/fuzz/seeds/{{target}} -- -max_total_time=120 {{args}}
