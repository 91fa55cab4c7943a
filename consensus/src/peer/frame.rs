//! One message on the wire: its kind, whose answer it is, and that it arrived whole.
//!
//! `length (u32) ‖ kind (1) ‖ id (u64) ‖ wait_ms (u32) ‖ payload ‖ CRC-32 (u32)`; integers are little-endian, the
//! length counts what follows it, the checksum covers everything between the two. This layout is that of the
//! handshake too, whatever version is agreed upon: it never changes.

use bytes::{Bytes, BytesMut};
use tokio_util::codec::LengthDelimitedCodec;

use super::error::ConnectionError;

const LENGTH_BYTES: usize = 4;
/// Kind, id and wait.
const HEADER_BYTES: usize = 13;
const CHECKSUM_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hello,
    Welcome,
    /// Of a connection (answering a hello) or of one request.
    Refusal,
    Request,
    Response,
    Ping,
    Pong,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Hello => 0,
            Self::Welcome => 1,
            Self::Refusal => 2,
            Self::Request => 3,
            Self::Response => 4,
            Self::Ping => 5,
            Self::Pong => 6,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Hello, Self::Welcome, Self::Refusal, Self::Request, Self::Response, Self::Ping, Self::Pong]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// Of the request; the answer has the same.
    pub(crate) id: u64,
    /// How long the sender of a request waits for its answer.
    pub(super) wait_ms: u32,
    pub(crate) payload: Bytes,
}

/// The bytes of a frame, its length included.
pub(super) fn encode(kind: Kind, id: u64, wait_ms: u32, payload: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.push(kind.byte());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&wait_ms.to_le_bytes());
    payload(&mut out);
    let checksum = crc32fast::hash(&out[LENGTH_BYTES..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    // A frame that is longer than its length can say is far beyond what is ever sent.
    let length = u32::try_from(out.len() - LENGTH_BYTES).unwrap_or(u32::MAX);
    out[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Bytes::from(out)
}

/// The frame of these bytes, which `lengths` cut.
pub(crate) fn decode(bytes: BytesMut) -> Result<Frame, ConnectionError> {
    let mut bytes = bytes.freeze();
    let body = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|body| *body >= HEADER_BYTES);
    let checksum = bytes.split_off(body.ok_or(ConnectionError::OutOfPlace)?);
    if crc32fast::hash(&bytes).to_le_bytes() != *checksum {
        return Err(ConnectionError::Checksum);
    }
    let payload = bytes.split_off(HEADER_BYTES);
    let (kind, rest) = bytes.split_first().expect("the header is there");
    let (id, wait_ms) = rest.split_first_chunk::<8>().expect("the header is there");
    Ok(Frame {
        kind: Kind::from_byte(*kind).ok_or(ConnectionError::OutOfPlace)?,
        id: u64::from_le_bytes(*id),
        wait_ms: u32::from_le_bytes(wait_ms.try_into().expect("the header is there")),
        payload,
    })
}

/// Cuts a stream into frames of at most `most_bytes`.
pub(super) fn lengths(most_bytes: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().little_endian().length_field_length(4).max_frame_length(most_bytes).new_codec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(encoded: &[u8]) -> BytesMut {
        BytesMut::from(&encoded[LENGTH_BYTES..])
    }

    #[test]
    fn sent_bytes_never_change() {
        let encoded = encode(Kind::Request, 7, 250, |out| out.extend_from_slice(b"abc"));
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "14000000030700000000000000fa000000616263fa0d1954");
        let frame = Frame { kind: Kind::Request, id: 7, wait_ms: 250, payload: Bytes::from_static(b"abc") };
        assert_eq!(decode(body(&encoded)).unwrap(), frame);
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_are_refused() {
        let encoded = encode(Kind::Response, 7, 0, |out| out.extend_from_slice(b"abc"));
        let whole = body(&encoded);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(decode(flipped).is_err(), "bit {bit} of byte {at}");
            }
            assert!(decode(BytesMut::from(&whole[..at])).is_err(), "{at} bytes");
        }
        let mut longer = whole;
        longer.extend_from_slice(&[0]);
        assert!(decode(longer).is_err());
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let mut bytes = BytesMut::from(&encode(Kind::Pong, 1, 0, |_| {})[LENGTH_BYTES..HEADER_BYTES + LENGTH_BYTES]);
        bytes[0] = 7;
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        assert!(matches!(decode(bytes), Err(ConnectionError::OutOfPlace)));
    }
}
