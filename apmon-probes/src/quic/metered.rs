//! Streams of HTTP/3 whose bytes and frames are counted while h3 reads them.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{
        Connection, ConnectionErrorIncoming, OpenStreams, RecvStream, SendStream, StreamErrorIncoming,
        StreamId, WriteBuf,
    },
};

use crate::budget::{Framing, Meter, Passed};

/// A connection or a stream whose bytes and frames count towards a budget.
pub(super) struct Metered<T> {
    inner: T,
    framing: Framing,
    meter: Meter,
}

impl<T> Metered<T> {
    /// Measures all streams of a connection.
    pub(super) fn connection(inner: T, meter: &Meter) -> Self {
        Self::new(inner, Framing::Plain, meter)
    }

    fn new(inner: T, framing: Framing, meter: &Meter) -> Self {
        Self {
            inner,
            framing,
            meter: meter.clone(),
        }
    }
}

impl<B: Buf, T> Connection<B> for Metered<T>
where
    T: Connection<B>,
    T::RecvStream: RecvStream<Buf = Bytes>,
    T::BidiStream: RecvStream<Buf = Bytes>,
{
    type RecvStream = Metered<T::RecvStream>;
    type OpenStreams = Metered<T::OpenStreams>;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        let stream = ready!(self.inner.poll_accept_recv(context))?;
        let stream_itself = Passed {
            frames: 1,
            empty: 1,
            ..Passed::default()
        };
        if let Err(flood) = self.meter.add(stream_itself) {
            return Poll::Ready(Err(ConnectionErrorIncoming::Undefined(Arc::new(flood))));
        }
        Poll::Ready(Ok(Metered::new(stream, Framing::http3_one_way(), &self.meter)))
    }

    fn poll_accept_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, ConnectionErrorIncoming>> {
        let stream = ready!(self.inner.poll_accept_bidi(context))?;
        Poll::Ready(Ok(Metered::new(stream, Framing::http3(), &self.meter)))
    }

    fn opener(&self) -> Self::OpenStreams {
        Metered::new(self.inner.opener(), Framing::Plain, &self.meter)
    }
}

impl<B: Buf, T> OpenStreams<B> for Metered<T>
where
    T: OpenStreams<B>,
    T::BidiStream: RecvStream<Buf = Bytes>,
{
    type BidiStream = Metered<T::BidiStream>;
    type SendStream = T::SendStream;

    fn poll_open_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
        let stream = ready!(self.inner.poll_open_bidi(context))?;
        Poll::Ready(Ok(Metered::new(stream, Framing::http3(), &self.meter)))
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        self.inner.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.inner.close(code, reason);
    }
}

impl<T: RecvStream<Buf = Bytes>> RecvStream for Metered<T> {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Self::Buf>, StreamErrorIncoming>> {
        if self.meter.pauses(context) {
            return Poll::Pending;
        }
        let Some(piece) = ready!(self.inner.poll_data(context))? else {
            return Poll::Ready(Ok(None));
        };
        let passed = Passed {
            bytes: piece.len() as u64,
            ..self.framing.read(&piece)
        };
        Poll::Ready(match self.meter.add(passed) {
            Ok(()) => Ok(Some(piece)),
            Err(flood) => Err(StreamErrorIncoming::Unknown(Box::new(flood))),
        })
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.inner.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.inner.recv_id()
    }
}

impl<B: Buf, T: SendStream<B>> SendStream<B> for Metered<T> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_ready(context)
    }

    fn send_data<D: Into<WriteBuf<B>>>(&mut self, data: D) -> Result<(), StreamErrorIncoming> {
        self.inner.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_finish(context)
    }

    fn reset(&mut self, reset_code: u64) {
        self.inner.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.inner.send_id()
    }
}
