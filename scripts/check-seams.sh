#!/usr/bin/env bash
# auth-core's normal dependencies hold no HTTP library and no async runtime, whatever its features.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

banned='^(tokio|async-std|smol|async-executor|async-io|hyper|hyper-util|h2|reqwest|isahc|curl|ureq|surf|mio)$'
tree=$(cargo tree -p auth-core --edges normal --all-features --prefix none --locked | awk '{print $1}' | sort -u)
if found=$(grep -E "$banned" <<<"$tree"); then
    echo "auth-core must not depend on: $found" >&2
    exit 1
fi
echo "auth-core: $(($(wc -l <<<"$tree") - 1)) crates in its normal tree, none of them a client or a runtime"
