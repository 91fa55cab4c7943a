//! A map of what one decision touches: two or three rows nearly always, twenty thousand at most.
//!
//! Few rows are looked through one by one and live on the stack; more get an index.

use std::collections::BTreeMap;

use smallvec::SmallVec;

/// Rows that are looked through without an index.
const LOOKED_THROUGH: usize = 12;

#[derive(Debug)]
pub(crate) struct Few<K, V> {
    rows: SmallVec<[(K, V); 2]>,
    /// Empty up to [`LOOKED_THROUGH`] rows, then the place of each.
    index: BTreeMap<K, usize>,
}

impl<K: Ord + Clone, V> Few<K, V> {
    pub(crate) fn new() -> Self {
        Self { rows: SmallVec::new(), index: BTreeMap::new() }
    }

    fn place(&self, key: &K) -> Option<usize> {
        if self.rows.len() <= LOOKED_THROUGH {
            self.rows.iter().position(|row| row.0 == *key)
        } else {
            self.index.get(key).copied()
        }
    }

    /// The place of `key`'s row, made first if there is none yet. Rows stay in their places.
    pub(crate) fn place_of(&mut self, key: K, make: impl FnOnce(&K) -> V) -> usize {
        if let Some(place) = self.place(&key) {
            return place;
        }
        let value = make(&key);
        let last = self.rows.len();
        if last == LOOKED_THROUGH {
            self.index = self.rows.iter().map(|row| row.0.clone()).zip(0..).collect();
        }
        if last >= LOOKED_THROUGH {
            self.index.insert(key.clone(), last);
        }
        self.rows.push((key, value));
        last
    }

    pub(crate) fn at(&mut self, place: usize) -> &mut V {
        &mut self.rows[place].1
    }

    pub(crate) fn row(&self, place: usize) -> &(K, V) {
        &self.rows[place]
    }
}

impl<K, V> IntoIterator for Few<K, V> {
    type Item = (K, V);
    type IntoIter = smallvec::IntoIter<[(K, V); 2]>;

    /// In the order in which the rows were made.
    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u16..40, 1u64..9), 0..200)) {
            let (mut few, mut map) = (Few::new(), BTreeMap::new());
            for (key, value) in steps {
                let place = few.place_of(key, |_| 0);
                *few.at(place) += value;
                *map.entry(key).or_insert(0) += value;
                for key in 0..40 {
                    let found = few.place(&key).map(|place| *few.row(place));
                    prop_assert_eq!(found, map.get(&key).map(|value| (key, *value)));
                }
            }
            let rows: BTreeMap<u16, u64> = few.into_iter().collect();
            prop_assert_eq!(rows, map);
        }
    }
}
