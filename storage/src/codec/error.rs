//! Why stored bytes are not a value.

use super::LevelError;

/// Bytes that do not decode. Whoever reads them adds which record it was; nothing is ever repaired by guessing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("the bytes end before the value does")]
    Truncated,
    #[error("{bytes} bytes follow the value")]
    Trailing { bytes: usize },
    #[error("checksum {stored:08x} is stored, the bytes give {computed:08x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("format version {found} of {what} is unknown; this program knows {known}")]
    Version { what: &'static str, found: u8, known: u8 },
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error("{what} has no variant {tag}")]
    Tag { what: &'static str, tag: u8 },
    #[error("not a number of its width")]
    Number,
    #[error("not UTF-8")]
    Text,
    #[error("{what} is not valid: it must be {rule}")]
    Invalid { what: &'static str, rule: &'static str },
}
