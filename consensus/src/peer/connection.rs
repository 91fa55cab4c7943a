//! A stream cut into frames, read and written with deadlines.

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncWriteExt, BufWriter, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::carrier::BoxStream;
use super::error::ConnectionError;
use super::frame::{Frame, decode, lengths};
use super::{FRAME_BYTES, WRITE_DEADLINE};

/// The most bytes of a frame of the handshake.
const HANDSHAKE_FRAME_BYTES: usize = 512;
/// Small frames are gathered up to this before they are written.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

pub(super) struct FrameReader(FramedRead<ReadHalf<BoxStream>, LengthDelimitedCodec>);

pub(super) struct FrameWriter(BufWriter<WriteHalf<BoxStream>>);

/// Both directions, with the bound of the handshake.
pub(super) fn split(stream: BoxStream) -> (FrameReader, FrameWriter) {
    let (reader, writer) = tokio::io::split(stream);
    let reader = FrameReader(FramedRead::new(reader, lengths(HANDSHAKE_FRAME_BYTES)));
    (reader, FrameWriter(BufWriter::with_capacity(WRITE_BUFFER_BYTES, writer)))
}

impl FrameReader {
    /// After the handshake frames may be long.
    pub(super) fn allow_messages(&mut self) {
        self.0.decoder_mut().set_max_frame_length(FRAME_BYTES);
    }

    /// The next frame. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Frame, ConnectionError> {
        match self.0.next().await {
            Some(Ok(bytes)) => decode(bytes),
            Some(Err(error)) => Err(ConnectionError::Io(error)),
            None => Err(ConnectionError::Closed),
        }
    }
}

impl FrameWriter {
    pub(super) async fn write(&mut self, frame: &Bytes) -> Result<(), ConnectionError> {
        let seconds = u32::try_from(frame.len() >> 20).unwrap_or(u32::MAX);
        let deadline = WRITE_DEADLINE + std::time::Duration::from_secs(seconds.into());
        in_time(deadline, self.0.write_all(frame)).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), ConnectionError> {
        in_time(WRITE_DEADLINE, self.0.flush()).await
    }
}

async fn in_time(
    deadline: std::time::Duration,
    write: impl Future<Output = std::io::Result<()>>,
) -> Result<(), ConnectionError> {
    match timeout(deadline, write).await {
        Ok(written) => written.map_err(ConnectionError::Io),
        Err(_elapsed) => Err(ConnectionError::WriteDeadline),
    }
}
