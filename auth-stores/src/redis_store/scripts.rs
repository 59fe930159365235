//! What the server does in one step: scripts, which see nothing of each other half done.
//!
//! Two keys, with one hash tag, so that a cluster keeps them together:
//!
//! | key | holds |
//! | --- | --- |
//! | the session | a hash: `format`, `tokens` (JSON; absent where nobody is signed in), `version` (one more with each write), `write` (the newest write's own name), `by` (its fence, 0 without a lease), `fence` (one more with each lease) |
//! | its lease | who has the lock, for as long as the key lives |

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind};

pub(super) const FORMAT: &str = "auth-stores/tokens 1";

/// Before any of the others: what is no session of this format is neither read nor written.
const HEAD: &str = "
local session, lease = KEYS[1], KEYS[2]
local kind = redis.call('TYPE', session).ok
if kind == 'hash' then
  if redis.call('HGET', session, 'format') ~= ARGV[1] then return {-2} end
elseif kind ~= 'none' then
  return {-2}
end
local version = redis.call('HGET', session, 'version') or '0'
";

/// `ARGV`: format, who, lease's life, life of a session in which nobody is signed in. Answers `1, fence, version`, or `0` and
/// how long the lease of somebody else will live.
///
/// Whoever has the lease already is told so, and nothing changes: the answer was lost, or the question came twice. A session does
/// not end while somebody has it: what a refresh brings would have nothing left to replace.
pub(super) static ACQUIRE: LazyLock<Step> = LazyLock::new(|| {
    Step::new(
        "
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[2] then return {0, redis.call('PTTL', lease)} end
if not holder then
  redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
  redis.call('HSET', session, 'format', ARGV[1])
  redis.call('HINCRBY', session, 'fence', 1)
  if redis.call('HEXISTS', session, 'tokens') == 0 then redis.call('PEXPIRE', session, ARGV[4]) end
  local left = redis.call('PTTL', session)
  if left >= 0 and left < tonumber(ARGV[3]) then redis.call('PEXPIRE', session, ARGV[3]) end
end
return {1, tonumber(redis.call('HGET', session, 'fence') or '0'), tonumber(version)}
",
    )
});

/// `ARGV`: format, who (empty without a lease), fence, the version that is to be replaced, tokens (empty: none), the life of
/// what is written (0: for ever), the write's own name. Answers `1, version`; `0, version, by` where it is another version;
/// `-1` where the lease is lost.
///
/// A write that was made already is not made again: the answer was lost, or the question came twice.
pub(super) static WRITE: LazyLock<Step> = LazyLock::new(|| {
    Step::new(
        "
if ARGV[2] ~= '' then
  if redis.call('GET', lease) ~= ARGV[2] then return {-1} end
  if tonumber(redis.call('HGET', session, 'fence') or '0') > tonumber(ARGV[3]) then return {-1} end
end
if redis.call('HGET', session, 'write') == ARGV[7] then return {1, tonumber(version)} end
if version ~= ARGV[4] then
  return {0, tonumber(version), tonumber(redis.call('HGET', session, 'by') or '0')}
end
redis.call('HSET', session, 'format', ARGV[1], 'by', ARGV[3], 'write', ARGV[7])
version = redis.call('HINCRBY', session, 'version', 1)
if ARGV[5] == '' then
  redis.call('HDEL', session, 'tokens')
else
  redis.call('HSET', session, 'tokens', ARGV[5])
end
if ARGV[6] == '0' then
  redis.call('PERSIST', session)
else
  redis.call('PEXPIRE', session, ARGV[6])
end
return {1, version}
",
    )
});

/// `ARGV`: format, who. Only whoever has the lease gives it back.
pub(super) static RELEASE: LazyLock<Step> = LazyLock::new(|| {
    Step::new(
        "
if redis.call('GET', lease) == ARGV[2] then redis.call('DEL', lease) end
return {1}
",
    )
});

/// A script, and what the server calls it.
pub(super) struct Step {
    code: String,
    script: Script,
}

impl Step {
    fn new(body: &str) -> Self {
        let code = format!("{HEAD}{body}");
        let script = Script::new(&code);
        Self { code, script }
    }

    /// By its name; where the server does not know it (it has been restarted, or is another one), by its text. That also goes
    /// where the keys are, in a cluster.
    pub(super) async fn run(
        &self,
        connection: &mut impl ConnectionLike,
        keys: [&str; 2],
        arguments: &[&str],
    ) -> RedisResult<Vec<i64>> {
        let command = |how: &str, which: &str| -> Cmd {
            let mut command = redis::cmd(how);
            command.arg(which).arg(keys.len()).arg(&keys).arg(FORMAT).arg(arguments);
            command
        };
        match command("EVALSHA", self.script.get_hash()).query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", &self.code).query_async(connection).await
            }
            answered => answered,
        }
    }
}
