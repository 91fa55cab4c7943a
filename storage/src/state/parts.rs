//! What an account is divided into, as of one moment, read page by page while the applier goes on.

use std::fmt;

use partita_core::state::{ItemKey, OpenItem, Subaccount, SubaccountKey};

use super::error::StorageError;
use super::ordered::OrderedTable;
use crate::codec::keys::TableKey;
use crate::engine::{KeyRange, RocksEngine, TableEngine};

/// An account's open items and subaccounts as they stood at one moment.
pub struct Parts<'a, E: TableEngine = RocksEngine> {
    pub(super) range: KeyRange,
    pub(super) open_items: OrderedTable<ItemKey, OpenItem>,
    pub(super) subaccounts: OrderedTable<SubaccountKey, Subaccount>,
    pub(super) snapshot: E::Snapshot<'a>,
}

impl<E: TableEngine> fmt::Debug for Parts<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("open_items", &self.open_items).finish_non_exhaustive()
    }
}

impl<E: TableEngine> Parts<'_, E> {
    /// Items whose debits and credits differ, by party, item and currency.
    pub fn open_items(&self, after: Option<&ItemKey>, limit: usize) -> Result<Vec<(ItemKey, OpenItem)>, StorageError> {
        self.open_items.scan(&self.snapshot, &behind(&self.range, after.map(TableKey::to_bytes)), limit)
    }

    /// Subaccounts by party and currency.
    pub fn subaccounts(
        &self,
        after: Option<&SubaccountKey>,
        limit: usize,
    ) -> Result<Vec<(SubaccountKey, Subaccount)>, StorageError> {
        self.subaccounts.scan(&self.snapshot, &behind(&self.range, after.map(TableKey::to_bytes)), limit)
    }
}

/// What of a range is behind `after`.
pub(super) fn behind(range: &KeyRange, after: Option<Vec<u8>>) -> KeyRange {
    let from = after.map_or_else(
        || range.from.clone(),
        |mut after| {
            after.push(0);
            after
        },
    );
    KeyRange { from, to: range.to.clone() }
}
