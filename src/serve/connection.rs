//! One connection: HTTP/1.1 on a stream that is watched. hyper knows no limit for an idle client or
//! for one that does not take its answer, so what a connection does is written down here, and
//! `listen` ends those that take too long.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

/// The longest head of a request, in bytes; also the most that is read ahead.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// For how long a client that was refused early may still send, until it reads the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_PIECES: usize = 64;

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: SocketAddr,
}

/// What a connection does, and since when.
pub(super) struct Activity {
    origin: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    /// Since when it does not take what we write, in milliseconds after `origin`; 0 if it does.
    stuck: AtomicU64,
    cut: Notify,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has come yet, or a TLS handshake.
    Fresh,
    /// The head of a request is coming.
    Head,
    /// The body of a request is coming.
    Body,
    /// A request is under way.
    Busy,
    /// An answer is out, and the next request has not begun.
    Idle,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            phase: AtomicU8::new(Phase::Fresh as u8),
            since: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            cut: Notify::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        let all = [
            Phase::Fresh,
            Phase::Head,
            Phase::Body,
            Phase::Busy,
            Phase::Idle,
        ];
        all.into_iter()
            .find(|one| *one as u8 == phase)
            .unwrap_or(Phase::Fresh)
    }

    /// For how long it has been doing that.
    pub(super) fn lasted(&self) -> Duration {
        self.since_then(&self.since)
    }

    /// For how long it has not taken what we write.
    pub(super) fn stuck(&self) -> Option<Duration> {
        let is_stuck = self.stuck.load(Ordering::Relaxed) != 0;
        is_stuck.then(|| self.since_then(&self.stuck))
    }

    /// Ends the connection at once.
    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Becomes ready when the connection is to end at once.
    pub(super) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    fn since_then(&self, then: &AtomicU64) -> Duration {
        let then = Duration::from_millis(then.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(then)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since.store(self.now(), Ordering::Relaxed);
    }

    fn heard(&self) {
        if matches!(self.phase(), Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    fn wrote<T>(&self, written: &Poll<T>) {
        let stuck = match written {
            Poll::Ready(_) => 0,
            Poll::Pending if self.stuck.load(Ordering::Relaxed) != 0 => return,
            Poll::Pending => self.now().max(1),
        };
        self.stuck.store(stuck, Ordering::Relaxed);
    }
}

/// What a connection is made of; one type, so that HTTP is in the binary once.
pub(super) enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// Behind TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Serves a stream until its client or the end of the service closes it.
pub(super) async fn serve(
    stream: Stream,
    peer: Peer,
    routes: Router,
    activity: Arc<Activity>,
    stopping: impl Future<Output = ()>,
) {
    let requests = Requests {
        routes: TowerToHyperService::new(routes),
        peer,
        activity: Arc::clone(&activity),
    };
    let stream = Watched { stream, activity };
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .half_close(false);
    let mut talk = http.serve_connection(TokioIo::new(stream), requests);
    let mut stopping = pin!(stopping);
    let mut asked = false;
    let ended = loop {
        tokio::select! {
            ended = std::future::poll_fn(|context| talk.poll_without_shutdown(context)) => break ended,
            () = &mut stopping, if !asked => {
                asked = true;
                Pin::new(&mut talk).graceful_shutdown();
            }
        }
    };
    match ended {
        Ok(()) => linger(talk.into_parts().io.into_inner()).await,
        Err(error) => log::debug!("a connection broke: {error}"),
    }
}

/// A client that is still sending when it is refused would lose the answer by a reset: so the end
/// is told, a little of what still comes is thrown away, and then it has some time to look.
async fn linger(mut stream: Watched) {
    let rest = async {
        stream.shutdown().await?;
        let mut piece = [0; 4096];
        for _ in 0..LINGER_PIECES {
            if stream.read(&mut piece).await? == 0 {
                return Ok(());
            }
        }
        std::future::pending::<io::Result<()>>().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(LINGER, rest).await {
        log::debug!("a connection broke at its end: {error}");
    }
}

/// Each request of one connection.
struct Requests {
    routes: TowerToHyperService<Router>,
    peer: Peer,
    activity: Arc<Activity>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Tracked>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = UnderWay::begin(&self.activity);
        let mut request = request.map(|body| self.received(body));
        request.extensions_mut().insert(self.peer.clone());
        let answer = self.routes.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Tracked {
                body,
                _under_way: under_way,
            }))
        })
    }
}

impl Requests {
    fn received(&self, body: Incoming) -> Body {
        if body.is_end_stream() {
            return Body::new(body);
        }
        self.activity.enter(Phase::Body);
        let activity = Arc::clone(&self.activity);
        Body::new(Received { body, activity })
    }
}

/// The body of a request; the connection waits for it until it is whole.
struct Received {
    body: Incoming,
    activity: Arc<Activity>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let is_whole = self.body.is_end_stream() || matches!(frame, Poll::Ready(None));
        if is_whole && self.activity.phase() == Phase::Body {
            self.activity.enter(Phase::Busy);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request is under way as long as this lives.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.enter(Phase::Busy);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// The body of an answer; the request is under way until it is out.
struct Tracked {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells when it is read and whether what is written goes out.
struct Watched {
    stream: Stream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.activity.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        self.activity.wrote(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        };
        self.activity.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
