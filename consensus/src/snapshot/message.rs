//! What nodes say to each other about snapshots; nothing yet.

use crate::codec::{CodecError, Input};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotRequest {}

impl SnapshotRequest {
    pub(crate) fn put(&self, _out: &mut Vec<u8>) {
        match *self {}
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Err(input.invalid())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotResponse {}

impl SnapshotResponse {
    pub(crate) fn put(&self, _out: &mut Vec<u8>) {
        match *self {}
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Err(input.invalid())
    }
}
