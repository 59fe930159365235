//! The backends: how each makes a transport, what it runs on, and how a test waits for it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth_core::{Runtime, Transport};
use auth_isahc::IsahcTransport;
use auth_isahc::isahc::config::{Configurable as _, RedirectPolicy};
use auth_reqwest::{ReqwestTransport, TokioRuntime};

/// Nothing here takes long; what does is broken.
const DEADLINE: Duration = Duration::from_secs(60);

pub trait Backend {
    type Transport: Transport + Clone;

    /// As an SDK would use it.
    fn transport() -> Self::Transport;
    /// One that was told to follow redirects.
    fn following() -> Self::Transport;
    fn runtime() -> Arc<dyn Runtime>;
    /// Waits on the backend's home executor.
    fn wait<F: Future>(future: F) -> F::Output;
}

pub struct Reqwest;

static TOKIO: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());

impl Backend for Reqwest {
    type Transport = ReqwestTransport;

    fn transport() -> ReqwestTransport {
        let client = ReqwestTransport::client_builder().no_proxy().build().unwrap();
        ReqwestTransport::new(client).with_handle(TOKIO.handle().clone())
    }

    fn following() -> ReqwestTransport {
        let builder = auth_reqwest::reqwest::Client::builder().no_proxy();
        ReqwestTransport::new(builder.build().unwrap()).with_handle(TOKIO.handle().clone())
    }

    fn runtime() -> Arc<dyn Runtime> {
        Arc::new(TokioRuntime::new(TOKIO.handle().clone()))
    }

    fn wait<F: Future>(future: F) -> F::Output {
        TOKIO.block_on(async { tokio::time::timeout(DEADLINE, future).await }).expect("it hangs")
    }
}

/// On no runtime at all.
pub struct Isahc;

impl Backend for Isahc {
    type Transport = IsahcTransport;

    fn transport() -> IsahcTransport {
        let single_use = IsahcTransport::single_use_builder().proxy(None).build().unwrap();
        let pooled = IsahcTransport::client_builder().proxy(None).build().unwrap();
        IsahcTransport::new(pooled).with_single_use(single_use)
    }

    fn following() -> IsahcTransport {
        let builder = IsahcTransport::client_builder().redirect_policy(RedirectPolicy::Limit(10));
        IsahcTransport::new(builder.proxy(None).build().unwrap())
    }

    fn runtime() -> Arc<dyn Runtime> {
        Arc::new(auth_core::StandaloneRuntime::new())
    }

    fn wait<F: Future>(future: F) -> F::Output {
        wait_bare(future)
    }
}

/// Waits on this thread, with nothing but `futures`.
pub fn wait_bare<F: Future>(future: F) -> F::Output {
    let deadline = auth_core::StandaloneRuntime::new().sleep(DEADLINE);
    futures::executor::block_on(async {
        let future = std::pin::pin!(future);
        match futures::future::select(future, deadline).await {
            futures::future::Either::Left((output, _)) => output,
            futures::future::Either::Right(_) => panic!("it hangs"),
        }
    })
}
