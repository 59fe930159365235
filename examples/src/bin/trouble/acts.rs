//! The acts of the hour.

use std::error::Error as StdError;
use std::time::Duration;

use auth_core::{Runtime as _, Session};
use auth_testkit::ManualRuntime;

use crate::diary::Diary;
use crate::phone::Phone;
use crate::server::{Endpoint, Server};

pub(crate) struct Story {
    pub(crate) runtime: ManualRuntime,
    pub(crate) server: Server,
    pub(crate) session: Session,
    pub(crate) phone: Phone,
    pub(crate) diary: Diary,
}

type Lived = Result<(), Box<dyn StdError>>;

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn minute(number: u64) -> Duration {
    Duration::from_secs(number * 60)
}

impl Story {
    pub(crate) async fn live(&self) -> Lived {
        self.quiet().await?;
        self.outage().await;
        self.late_401s().await;
        self.lost_answer().await;
        self.rejects_every_token().await;
        self.draining().await;
        self.sign_out_in_a_refresh().await?;
        self.idle().await;
        Ok(())
    }

    async fn quiet(&self) -> Lived {
        self.diary.heading("1. Quiet: the token is renewed before it expires, and nobody waits");
        self.diary.note("alice signs in");
        self.session.sign_in(self.server.issue("alice")?).await?;
        self.phone.browse("alice", HALF_A_MINUTE, minute(15)).await;
        Ok(())
    }

    async fn outage(&self) {
        self.diary.heading("2. The token endpoint is out for ten minutes: nobody is signed out");
        self.diary.note("the token endpoint goes down; the API stays up");
        self.server.token_endpoint_is(Endpoint::Out);
        self.phone.browse("alice", HALF_A_MINUTE, minute(25)).await;
        self.diary.note("the token endpoint is back");
        self.server.token_endpoint_is(Endpoint::Up);
        self.phone.browse("alice", HALF_A_MINUTE, minute(29)).await;
    }

    async fn late_401s(&self) {
        self.diary
            .heading("3. Late 401s: rejections of a token that has been replaced start no second refresh");
        self.diary.note("the API forgets its tokens; alice asks for 4 notes and 4 long reports at once");
        self.server.forget_access_tokens();
        let before = self.server.seen().token_requests;
        let asked = ["/notes", "/notes", "/notes", "/notes", "/reports", "/reports", "/reports", "/reports"];
        let asked = asked.map(|path| self.phone.get("alice", path));
        let answered = self.phone.answered(asked.into()).await;
        let requests = self.server.seen().token_requests - before;
        self.diary.note(format!("{answered} of 8 are answered; token requests: {requests}"));
        self.until(minute(30)).await;
    }

    async fn lost_answer(&self) {
        self.diary.heading("4. A lost answer: the server has rotated, and we have not heard of it");
        self.server.forget_access_tokens();
        self.server.token_endpoint_is(Endpoint::LosesAnAnswer);
        let answered = self.phone.answered(vec![self.phone.get("alice", "/notes")]).await;
        self.diary.note(format!("{answered} of 1 is answered"));
        self.until(minute(32)).await;
    }

    async fn rejects_every_token(&self) {
        self.diary.heading("5. The API rejects every new token: after five, no more are asked for");
        self.server.rejects_everything(true);
        self.phone.browse("alice", Duration::from_secs(3), minute(32) + HALF_A_MINUTE).await;
        self.diary.note("the API is mended");
        self.server.rejects_everything(false);
        self.phone.browse("alice", HALF_A_MINUTE, minute(36)).await;
    }

    async fn draining(&self) {
        self.diary.heading("6. Draining: the refresh token is revoked, the access token is good to its end");
        self.diary.note("an administrator revokes alice's refresh token");
        self.server.kill_refresh_tokens();
        self.phone.browse("alice", HALF_A_MINUTE, minute(44)).await;
    }

    async fn sign_out_in_a_refresh(&self) -> Lived {
        self.diary.heading("7. Alice signs out in the middle of a refresh, and bob signs in");
        self.diary.note("alice signs in");
        self.session.sign_in(self.server.issue("alice")?).await?;
        self.server.forget_access_tokens();
        self.server.token_endpoint_is(Endpoint::Slow(Duration::from_secs(4)));
        self.diary.note("the API forgets her token; she asks for 3 notes and a long report");
        let asked = ["/notes", "/notes", "/notes", "/reports"].map(|path| self.phone.get("alice", path));
        self.runtime.sleep(Duration::from_secs(1)).await;
        self.diary.note("alice signs out, while the token endpoint thinks about it");
        self.session.sign_out().await?;
        self.runtime.sleep(Duration::from_secs(1)).await;
        self.diary.note("bob signs in");
        self.session.sign_in(self.server.issue("bob")?).await?;
        let bobs = self.phone.answered((0..5).map(|_| self.phone.get("bob", "/notes")).collect()).await;
        self.diary.note(format!("{bobs} of bob's 5 requests are answered"));
        let hers = self.phone.answered(asked.into()).await;
        self.diary.note(format!("{hers} of alice's 4 requests are answered: none was sent as bob"));
        self.server.token_endpoint_is(Endpoint::Up);
        self.phone.browse("bob", HALF_A_MINUTE, minute(48)).await;
        Ok(())
    }

    async fn idle(&self) {
        self.diary.heading("8. Bob is at lunch: nobody asks, and the token stays fresh");
        self.until(minute(60)).await;
        let answered = self.phone.answered(vec![self.phone.get("bob", "/notes")]).await;
        self.diary.note(format!("bob is back: {answered} of 1 is answered, and did not wait"));
    }

    async fn until(&self, time: Duration) {
        self.runtime.sleep(time.saturating_sub(self.diary.time())).await;
    }
}
