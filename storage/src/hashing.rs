//! BLAKE3 of many short messages at once.
//!
//! The blake3 crate is as fast as it gets for one long message; of a short one it fills a lane in four or eight. What a
//! ledger hashes is short and comes in thousands: decisions, nodes of the hash tree, operations. Here eight messages are
//! hashed side by side, one in each lane of a vector. The steps are those of the BLAKE3 specification (sections 2.1 to
//! 2.4, a root of one chunk); the crate says in the tests whether they are right, and does the long and the few.

use std::ops::Range;

use wide::u32x8;

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

const LANES: usize = 8;
/// With fewer messages, one after the other is no slower.
const WORTH_LANES: usize = 3;
const BLOCK_BYTES: usize = 64;
/// What is longer has several chunks.
const CHUNK_BYTES: usize = 1024;

const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 1 << 1;
const ROOT: u32 = 1 << 3;

const IV: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
/// Which word of the message stands where, in each round.
const SCHEDULE: [[usize; 16]; 7] = {
    let mut schedule = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]; 7];
    let mut round = 1;
    while round < schedule.len() {
        let mut word = 0;
        while word < PERMUTATION.len() {
            schedule[round][word] = schedule[round - 1][PERMUTATION[word]];
            word += 1;
        }
        round += 1;
    }
    schedule
};
/// From place 64 − n on it begins with n ones: as a mask, its next 64 bytes leave the first n of a block.
const ONES_AND_ZEROS: [u8; 2 * BLOCK_BYTES] = {
    let mut mask = [0; 2 * BLOCK_BYTES];
    let mut place = 0;
    while place < BLOCK_BYTES {
        mask[place] = u8::MAX;
        place += 1;
    }
    mask
};

/// Appends the hash of each of these parts of `bytes`, in their order.
///
/// # Panics
/// If a part is not within `bytes`.
pub fn hash_each(bytes: &[u8], parts: &[Range<usize>], hashes: &mut Vec<Hash>) {
    hashes.reserve(parts.len());
    for some in parts.chunks(LANES) {
        let last = some.len() - 1;
        if some.len() < WORTH_LANES || some.iter().any(|part| part.len() > CHUNK_BYTES) {
            hashes.extend(some.iter().map(|part| *blake3::hash(&bytes[part.clone()]).as_bytes()));
        } else {
            let lanes = side_by_side(bytes, std::array::from_fn(|lane| some[lane.min(last)].clone()));
            hashes.extend_from_slice(&lanes[..=last]);
        }
    }
}

/// Hashes messages of one chunk each.
fn side_by_side(bytes: &[u8], parts: [Range<usize>; LANES]) -> [Hash; LANES] {
    // Even the empty message has a block.
    let blocks = parts.each_ref().map(|part| part.len().div_ceil(BLOCK_BYTES).max(1));
    let most = blocks.into_iter().max().unwrap_or(0);
    let mut chain = IV.map(u32x8::splat);
    for block in 0..most {
        let (mut first, mut second) = ([u32x8::ZERO; LANES], [u32x8::ZERO; LANES]);
        let (mut lengths, mut flags, mut has_it) = ([0; LANES], [0; LANES], [0; LANES]);
        for lane in 0..LANES {
            if block < blocks[lane] {
                let start = parts[lane].start + block * BLOCK_BYTES;
                let length = (parts[lane].end - start).min(BLOCK_BYTES);
                [first[lane], second[lane]] = words_of(bytes, start, length);
                lengths[lane] = u32::try_from(length).expect("a block has 64 bytes");
                let begins = if block == 0 { CHUNK_START } else { 0 };
                let ends = if block + 1 == blocks[lane] { CHUNK_END | ROOT } else { 0 };
                flags[lane] = begins | ends;
                has_it[lane] = u32::MAX;
            }
        }
        let (first, second) = (u32x8::transpose(first), u32x8::transpose(second));
        let message = std::array::from_fn(|word| if word < 8 { first[word] } else { second[word - 8] });
        let next = compressed(&chain, &message, u32x8::new(lengths), u32x8::new(flags));
        let has_it = u32x8::new(has_it);
        chain = std::array::from_fn(|word| has_it.bitselect(next[word], chain[word]));
    }
    u32x8::transpose(chain).map(|words| {
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(words.to_array()) {
            *bytes = word.to_le_bytes();
        }
        hash
    })
}

/// The words of `length` bytes from `start` on, with zeros behind.
#[inline(always)]
fn words_of(bytes: &[u8], start: usize, length: usize) -> [u32x8; 2] {
    let words = |bytes: &[u8; BLOCK_BYTES], half: usize| {
        let (words, _) = bytes.as_chunks::<4>();
        u32x8::new(std::array::from_fn(|word| u32::from_le_bytes(words[8 * half + word])))
    };
    // Bytes of what follows are read too and masked: copying only what counts would cost more.
    match bytes.get(start..).and_then(|rest| rest.first_chunk()) {
        Some(block) if length == BLOCK_BYTES => [words(block, 0), words(block, 1)],
        Some(block) => {
            let (_, from) = ONES_AND_ZEROS.split_at(BLOCK_BYTES - length);
            let mask = from.first_chunk().expect("128 bytes but for at most 64");
            [words(block, 0) & words(mask, 0), words(block, 1) & words(mask, 1)]
        }
        None => {
            let mut block = [0; BLOCK_BYTES];
            block[..length].copy_from_slice(&bytes[start..start + length]);
            [words(&block, 0), words(&block, 1)]
        }
    }
}

/// The compression function; of its result only what chains.
#[inline(always)]
fn compressed(chain: &[u32x8; 8], message: &[u32x8; 16], lengths: u32x8, flags: u32x8) -> [u32x8; 8] {
    let [a, b, c, d, e, f, g, h] = *chain;
    let [i, j, k, l, ..] = IV.map(u32x8::splat);
    // The two words before the lengths are the chunk's number: there is one chunk only.
    let mut state = [a, b, c, d, e, f, g, h, i, j, k, l, u32x8::ZERO, u32x8::ZERO, lengths, flags];
    for words in &SCHEDULE {
        let mut mix = |[a, b, c, d]: [usize; 4], step: usize| {
            let (x, y) = (message[words[2 * step]], message[words[2 * step + 1]]);
            state[a] = state[a] + state[b] + x;
            state[d] = turned_right::<16, 16>(state[d] ^ state[a]);
            state[c] = state[c] + state[d];
            state[b] = turned_right::<12, 20>(state[b] ^ state[c]);
            state[a] = state[a] + state[b] + y;
            state[d] = turned_right::<8, 24>(state[d] ^ state[a]);
            state[c] = state[c] + state[d];
            state[b] = turned_right::<7, 25>(state[b] ^ state[c]);
        };
        mix([0, 4, 8, 12], 0);
        mix([1, 5, 9, 13], 1);
        mix([2, 6, 10, 14], 2);
        mix([3, 7, 11, 15], 3);
        mix([0, 5, 10, 15], 4);
        mix([1, 6, 11, 12], 5);
        mix([2, 7, 8, 13], 6);
        mix([3, 4, 9, 14], 7);
    }
    std::array::from_fn(|word| state[word] ^ state[word + 8])
}

/// `LEFT` is 32 less `RIGHT`.
#[inline(always)]
fn turned_right<const RIGHT: u32, const LEFT: u32>(words: u32x8) -> u32x8 {
    (words >> RIGHT) | (words << LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(bytes: &[u8], parts: &[Range<usize>]) {
        let mut hashes = vec![[7; 32]];
        hash_each(bytes, parts, &mut hashes);
        let expected: Vec<Hash> = parts.iter().map(|part| *blake3::hash(&bytes[part.clone()]).as_bytes()).collect();
        assert_eq!((hashes[0], &hashes[1..]), ([7; 32], expected.as_slice()), "{parts:?}");
    }

    /// Not the same byte twice within a block, nor the same block twice.
    fn bytes(many: usize) -> Vec<u8> {
        (0..many).map(|place| u8::try_from((place * 7 + place / 256) % 256).unwrap()).collect()
    }

    #[test]
    fn every_length_is_hashed_as_the_crate_does() {
        let bytes = bytes(CHUNK_BYTES + 200);
        for length in 0..=CHUNK_BYTES + 2 {
            let parts: Vec<Range<usize>> = (0..LANES).map(|lane| lane * 3..lane * 3 + length).collect();
            agrees(&bytes, &parts);
            // Beside longer and shorter ones, and with nothing behind the last.
            let end = bytes.len();
            agrees(&bytes, &[5..5, 9..9 + length, end - length..end, end..end]);
        }
    }

    #[test]
    fn every_number_of_messages_is_hashed() {
        let bytes = bytes(3_000);
        for many in 0..=3 * LANES {
            let parts: Vec<Range<usize>> = (0..many).map(|lane| lane * 50..lane * 101 + 65).collect();
            agrees(&bytes, &parts);
        }
    }

    proptest! {
        #[test]
        fn any_parts_are_hashed_as_the_crate_does(
            bytes in prop::collection::vec(any::<u8>(), 0..3_000),
            ends in prop::collection::vec((0..=3_000_usize, 0..=1_100_usize), 0..30),
        ) {
            let parts: Vec<Range<usize>> = ends
                .into_iter()
                .map(|(end, length)| {
                    let end = end.min(bytes.len());
                    end.saturating_sub(length)..end
                })
                .collect();
            agrees(&bytes, &parts);
        }
    }
}
