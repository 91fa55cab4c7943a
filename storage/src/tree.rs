//! The hash tree over decisions: RFC 6962's Merkle tree with BLAKE3, kept as its frontier.
//!
//! A leaf is the hash of 0x00 and a decision's canonical bytes, a node that of 0x01 and its two children. The head
//! says everything about the decisions before it and nothing about how they were grouped into blocks or batches.
//! One tree runs over all decisions, one over each book's; a decision's leaf is the same in both. Only the roots of
//! the perfect subtrees are kept, so that an append reads nothing; proofs are made from the journal.

use std::ops::Range;

use crate::codec::{CodecError, Reader, Stored, Writer};
use crate::hashing::hash_each;

pub use crate::hashing::Hash;

/// Stands before a decision's canonical bytes where they are hashed as a leaf.
pub const LEAF: u8 = 0;

/// The hash of a decision's canonical bytes, as a leaf.
#[must_use]
pub fn leaf(decision: &[u8]) -> Hash {
    *blake3::hash(&[&[LEAF], decision].concat()).as_bytes()
}

/// The hash of an inner node.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    *blake3::hash(&node_bytes(left, right)).as_bytes()
}

const NODE_BYTES: usize = 65;

fn node_bytes(left: &Hash, right: &Hash) -> [u8; NODE_BYTES] {
    let mut bytes = [1; NODE_BYTES];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    bytes
}

/// The hashes of the nodes over each two that follow each other. `bytes` is there for its memory.
fn nodes(row: &[Hash], bytes: &mut Vec<u8>) -> Vec<Hash> {
    let (pairs, _) = row.as_chunks();
    bytes.clear();
    pairs.iter().for_each(|[left, right]| bytes.extend_from_slice(&node_bytes(left, right)));
    let parts: Vec<Range<usize>> = (0..pairs.len()).map(|pair| pair * NODE_BYTES..(pair + 1) * NODE_BYTES).collect();
    let mut nodes = Vec::new();
    hash_each(bytes, &parts, &mut nodes);
    nodes
}

/// The roots of a tree's perfect subtrees, the greatest first: one for each one-bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, made by [`leaf`].
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("there is a root for each one-bit of the size");
            root = node(&left, &root);
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// Appends many leaves: what [`Self::push`] does for each, but level by level, so that many nodes are hashed at once.
    pub fn push_all(&mut self, leaves: &[Hash]) {
        if let [one] = leaves {
            return self.push(*one);
        }
        let mut bytes = Vec::new();
        let mut row = leaves.to_vec();
        // Of each level the root that it leaves, the lowest first.
        let mut left = Vec::new();
        for level in 0.. {
            if row.is_empty() {
                break;
            }
            if self.size >> level & 1 == 1 {
                row.insert(0, self.roots.pop().expect("there is a root for each one-bit of the size"));
            }
            if row.len() % 2 == 1 {
                left.extend(row.pop());
            }
            row = nodes(&row, &mut bytes);
        }
        self.roots.extend(left.into_iter().rev());
        self.size += u64::try_from(leaves.len()).expect("what is in memory can be counted");
    }

    /// The head: RFC 6962's MTH. An empty tree's is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => *blake3::hash(&[]).as_bytes(),
            Some(last) => roots.fold(*last, |right, left| node(left, &right)),
        }
    }
}

impl Stored for Frontier {
    fn put(&self, writer: &mut Writer) {
        let Self { size, roots } = self;
        size.put(writer);
        roots.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (size, roots) = (u64::take(reader)?, Vec::<Hash>::take(reader)?);
        if usize::try_from(size.count_ones()).ok() == Some(roots.len()) {
            Ok(Self { size, roots })
        } else {
            Err(CodecError::Invalid { what: "a hash tree's frontier", rule: "one root for each one-bit of its size" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_record, encode_record};
    use proptest::prelude::*;

    /// RFC 6962, section 2.1, word for word.
    fn naive(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => *blake3::hash(b"").as_bytes(),
            [one] => *blake3::hash(&[&[0u8][..], one].concat()).as_bytes(),
            many => {
                let mut split = 1;
                while split * 2 < many.len() {
                    split *= 2;
                }
                let (left, right) = (naive(&many[..split]), naive(&many[split..]));
                *blake3::hash(&[&[1u8][..], &left, &right].concat()).as_bytes()
            }
        }
    }

    #[test]
    fn every_size_has_the_head_of_the_definition() {
        let leaves: Vec<Vec<u8>> = (0u16..200).map(|number| number.to_be_bytes().to_vec()).collect();
        let mut frontier = Frontier::default();
        for size in 0..leaves.len() {
            assert_eq!(frontier.root(), naive(&leaves[..size]), "size {size}");
            assert_eq!(decode_record::<Frontier>(&encode_record(&frontier)).unwrap(), frontier);
            frontier.push(leaf(&leaves[size]));
        }
    }

    proptest! {
        #[test]
        fn heads_agree_with_the_definition(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..80)) {
            let mut frontier = Frontier::default();
            for bytes in &leaves {
                frontier.push(leaf(bytes));
            }
            prop_assert_eq!(frontier.root(), naive(&leaves));
        }

        #[test]
        fn leaves_appended_together_are_those_appended_one_by_one(runs in prop::collection::vec(0..70_u8, 0..8)) {
            let (mut together, mut one_by_one) = (Frontier::default(), Frontier::default());
            for run in runs {
                let leaves: Vec<Hash> = (0..run).map(|number| leaf(&[number, run])).collect();
                together.push_all(&leaves);
                leaves.into_iter().for_each(|leaf| one_by_one.push(leaf));
                prop_assert_eq!(&together, &one_by_one);
            }
        }
    }
}
