//! `Entered`: a future or a body that finds its tokio runtime wherever it is polled and dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;

pin_project! {
    /// Enters the runtime for each poll, and for the drop: hyper's connection pool can spawn from a destructor. What has
    /// come to its end is dropped in the poll that said so.
    ///
    /// The guard of an entered runtime is not `Send`, so it lives within one poll and never across an await.
    pub(crate) struct Entered<T> {
        handle: Handle,
        #[pin]
        inner: Option<T>,
    }

    impl<T> PinnedDrop for Entered<T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                let _guard = this.handle.enter();
                this.inner.set(None);
            }
        }
    }
}

impl<T> Entered<T> {
    pub(crate) fn new(handle: Handle, inner: T) -> Self {
        Self { handle, inner: Some(inner) }
    }
}

impl<F: Future> Future for Entered<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _guard = this.handle.enter();
        let future = this.inner.as_mut().as_pin_mut().expect("a future that is ready is not polled again");
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.inner.set(None);
        }
        polled
    }
}

impl<B: http_body::Body> http_body::Body for Entered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let _guard = this.handle.enter();
        let polled = body.as_mut().poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(Some(_)) => body.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Pending => false,
        };
        if ended {
            this.inner.set(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::task::Waker;

    use bytes::Bytes;
    use futures::FutureExt as _;
    use tokio::runtime::{Builder, Id};

    use super::*;

    /// Demands its runtime whenever it is polled, and when it is dropped.
    struct Demanding(Id);

    impl Demanding {
        fn check(&self) {
            assert_eq!(Handle::current().id(), self.0);
        }
    }

    impl Future for Demanding {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.check();
            Poll::Ready(())
        }
    }

    impl http_body::Body for Demanding {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.check();
            Poll::Ready(None)
        }
    }

    impl Drop for Demanding {
        fn drop(&mut self) {
            self.check();
        }
    }

    /// Not only with the future or body around it, which may be kept.
    #[test]
    fn what_has_come_to_its_end_is_dropped_at_once() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let entered = || Entered::new(runtime.handle().clone(), Demanding(runtime.handle().id()));
        let mut cx = Context::from_waker(Waker::noop());

        let mut future = pin!(entered());
        assert!(future.as_mut().poll(&mut cx).is_ready() && future.inner.is_none());

        let mut body = pin!(entered());
        assert!(http_body::Body::poll_frame(body.as_mut(), &mut cx).is_ready() && body.inner.is_none());
        assert!(matches!(http_body::Body::poll_frame(body.as_mut(), &mut cx), Poll::Ready(None)));
        assert!(http_body::Body::is_end_stream(&*body));
        assert_eq!(http_body::Body::size_hint(&*body).exact(), Some(0));
    }

    #[test]
    fn what_is_inside_finds_its_runtime_when_it_is_polled_and_dropped() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let other = Builder::new_current_thread().build().unwrap();
        let entered = || Entered::new(runtime.handle().clone(), Demanding(runtime.handle().id()));
        let read = || {
            let mut body = entered();
            std::future::poll_fn(move |cx| http_body::Body::poll_frame(Pin::new(&mut body), cx))
        };

        assert_eq!(entered().now_or_never(), Some(()));
        assert!(read().now_or_never().unwrap().is_none());
        other.block_on(async {
            entered().await;
            assert!(read().await.is_none());
        });
    }
}
