//! smoke
use auth_core::*;
use std::sync::Arc;
use std::sync::atomic::*;

struct Api {
    good: Arc<AtomicUsize>,
    hits: AtomicUsize,
}
#[async_trait]
impl Transport for Api {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>, TransportError> {
        self.hits.fetch_add(1, Ordering::SeqCst);
        let want = format!("Bearer T{}", self.good.load(Ordering::SeqCst));
        let ok = request.headers()["authorization"] == want;
        let mut r = http::Response::new(Body::from("x"));
        if !ok {
            *r.status_mut() = http::StatusCode::UNAUTHORIZED;
        }
        r.extensions_mut().insert(request.extensions().get::<Attempt>().copied().unwrap());
        Ok(r)
    }
}

#[test]
fn smoke() {
    let good = Arc::new(AtomicUsize::new(1));
    let calls = Arc::new(AtomicUsize::new(0));
    let c = calls.clone();
    let session = Session::builder(refresher_fn(move |t: Tokens| {
        let c = c.clone();
        async move {
            c.fetch_add(1, Ordering::SeqCst);
            assert_eq!(t.refresh_token().unwrap().reveal(), "R0");
            StandaloneRuntime::new().sleep(std::time::Duration::from_millis(20)).await;
            Ok(Tokens::new("T1").unwrap().with_refresh_token("R1"))
        }
    }))
    .on_event(|e| println!("{e:?}"))
    .build();
    let api = Api { good, hits: AtomicUsize::new(0) };
    let client = AuthClient::builder(api, session.clone()).origin("https://a").build().unwrap();
    futures::executor::block_on(async {
        session.sign_in(Tokens::new("T0").unwrap().with_refresh_token("R0")).await.unwrap();
        let all = (0..100).map(|_| client.send(http::Request::get("/x").body(Body::empty()).unwrap()));
        let all = futures::future::join_all(all).await;
        for r in &all {
            println!("{:?}", r.as_ref().unwrap().extensions().get::<Attempt>());
            assert!(r.as_ref().unwrap().status().is_success());
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        session.sign_out().await.unwrap();
        println!("{:?}", client.send(http::Request::get("/x").body(Body::empty()).unwrap()).await);
    });
}
