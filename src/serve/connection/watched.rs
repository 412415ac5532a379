//! The stream of a connection: plain or TLS, telling when it is read and whether what is written
//! goes out. An error that hyper answers without a body gets one here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use super::refused;

/// What a connection is made of; one type, so that HTTP is in the binary once.
pub(in crate::serve) enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// Behind TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Both for S {}

impl Stream {
    fn either(&mut self) -> Pin<&mut dyn Both> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream),
        }
    }
}

/// A stream that is watched.
pub(super) struct Watched {
    stream: Stream,
    activity: Arc<Activity>,
    instead: Option<Instead>,
}

/// What goes out in place of what hyper writes.
struct Instead {
    answer: Vec<u8>,
    out: usize,
}

impl Watched {
    pub(super) fn new(stream: Stream, activity: Arc<Activity>) -> Self {
        let instead = None;
        Self {
            stream,
            activity,
            instead,
        }
    }

    /// Writes `bytes`, or what stands for them.
    fn write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            let answer = refused::in_place_of(bytes);
            self.instead = answer.map(|answer| Instead { answer, out: 0 });
        }
        let Some(instead) = &mut self.instead else {
            return self.stream.either().poll_write(context, bytes);
        };
        while let Some(rest) = instead
            .answer
            .get(instead.out..)
            .filter(|rest| !rest.is_empty())
        {
            match ready!(self.stream.either().poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => instead.out += count,
            }
        }
        self.instead = None;
        log::debug!("what is no request was refused");
        Poll::Ready(Ok(bytes.len()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream.either().poll_read(context, buffer);
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
        let written = self.write(context, bytes);
        self.activity.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.either().poll_flush(context);
        self.activity.wrote(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.either().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match pieces {
            // A head alone is one piece.
            [one] => self.write(context, one),
            many => self.stream.either().poll_write_vectored(context, many),
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
