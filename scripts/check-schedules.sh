#!/usr/bin/env bash
# auth-core's queue and its sessions under the model checker, on some thousand schedules. An argument names the tests.
#
#   AUTH_SHUTTLE_TIMES=10 scripts/check-schedules.sh                       ten times as many
#   AUTH_SHUTTLE_SEED=7 scripts/check-schedules.sh                         other ones
#   AUTH_SHUTTLE_REPLAY='9104…' scripts/check-schedules.sh a_storm_is      the one that this test has failed on
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Only the crate's own tests, and only what they need: a build of seconds, beside the ordinary one.
export RUSTFLAGS="--cfg auth_shuttle"
exec cargo test -p auth-core --lib --locked --target-dir target/shuttle -- "${@:-schedules::}"
