//! One connection: HTTP/1.1 on a stream that is watched. hyper knows no limit for an idle client or
//! for one that does not take its answer, so what a connection does is written down here, and
//! `listen` ends those that take too long.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

mod activity;
mod bodies;
mod refused;
mod watched;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use activity::UnderWay;
pub(super) use activity::{Activity, Phase};
use bodies::{Received, Tracked};
pub(super) use refused::answer as refusal;
pub(super) use watched::Stream;
use watched::Watched;

/// The longest head of a request, in bytes; also the most that is read ahead.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// For how long a client that was refused early may still send, until it reads the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_PIECES: usize = 64;
/// How long the answer to a head that did not come in time may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: SocketAddr,
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
    let stream = Watched::new(stream, Arc::clone(&activity));
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
            () = activity.is_cut() => return leave(talk.into_parts().io.into_inner(), &activity).await,
            () = &mut stopping, if !asked => {
                asked = true;
                Pin::new(&mut talk).graceful_shutdown();
            }
        }
    };
    match ended {
        Ok(()) => linger(talk.into_parts().io.into_inner(), &activity).await,
        Err(error) if error.is_parse() => {
            log::debug!("what is no request: {error}");
            linger(talk.into_parts().io.into_inner(), &activity).await;
        }
        Err(error) => log::debug!("a connection broke: {error}"),
    }
}

/// Ends the connection; a head that is not whole gets an answer if it can be written at once.
async fn leave(mut stream: Watched, activity: &Activity) {
    if activity.phase() != Phase::Head {
        return;
    }
    let answer = refusal(
        StatusCode::REQUEST_TIMEOUT,
        "The request did not come in time",
    );
    let written = tokio::time::timeout(FAREWELL, stream.write_all(&answer)).await;
    match written {
        Ok(Ok(())) => linger(stream, activity).await,
        Ok(Err(error)) => log::debug!("a connection broke when it was ended: {error}"),
        Err(_) => {}
    }
}

/// A client that is still sending when it is refused would lose the answer by a reset: so the end
/// is told, a little of what still comes is thrown away, and then it has some time to look.
async fn linger(mut stream: Watched, activity: &Activity) {
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
    tokio::select! {
        rest = tokio::time::timeout(LINGER, rest) => if let Ok(Err(error)) = rest {
            log::debug!("a connection broke at its end: {error}");
        },
        () = activity.is_cut() => {}
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
