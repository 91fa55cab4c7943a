//! What nodes say to each other about the cluster itself; nothing yet.

use crate::codec::{CodecError, Input};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterRequest {}

impl ClusterRequest {
    /// Whether a node that is in no cluster yet may ask this.
    pub(crate) fn is_from_outside(&self) -> bool {
        match *self {}
    }

    pub(crate) fn put(&self, _out: &mut Vec<u8>) {
        match *self {}
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Err(input.invalid())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterResponse {}

impl ClusterResponse {
    pub(crate) fn put(&self, _out: &mut Vec<u8>) {
        match *self {}
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Err(input.invalid())
    }
}
