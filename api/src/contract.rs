//! TEMPORARY stand-in for storage's reader and consensus' node until both are on main.
#![allow(dead_code, unused_variables, missing_debug_implementations, clippy::all, reason = "temporary")]
use std::sync::Arc;
use tokio::time::Instant;
use partita_core::account::*; use partita_core::currency::Currency; use partita_core::decision::*; use partita_core::document::*;
use partita_core::entry::*; use partita_core::id::*; use partita_core::operation::Operation; use partita_core::state::*; use partita_core::time::*;
use partita_core::chain::PostingRef;

#[derive(Debug, thiserror::Error)] #[error("storage")] pub struct StorageError;
#[derive(Debug, thiserror::Error)] #[error("start")] pub struct StartError;
#[derive(Clone)] pub struct Reader;
impl Reader { pub fn position(&self) -> Position { todo!() } pub fn read<T>(&self, f: impl FnOnce(&View<'_>) -> T) -> T { todo!() } }
pub struct View<'a>(std::marker::PhantomData<&'a ()>);
pub struct Posting { pub reference: PostingRef, pub line: Line, pub entry: Entry, pub recorded_at: Timestamp }
impl View<'_> {
  pub fn position(&self) -> Position { todo!() }
  pub fn time(&self) -> Timestamp { todo!() }
  pub fn head_hash(&self) -> [u8;32] { todo!() }
  pub fn decision(&self, p: Position) -> Result<Option<Decision>, StorageError> { todo!() }
  pub fn position_at(&self, t: Timestamp) -> Result<Position, StorageError> { todo!() }
  pub fn books(&self, after: Option<&BookCode>, limit: usize) -> Result<Vec<Arc<Book>>, StorageError> { todo!() }
  pub fn accounts(&self, b: BookId) -> Result<Vec<Arc<Account>>, StorageError> { todo!() }
  pub fn currencies(&self, b: BookId) -> Result<Vec<Currency>, StorageError> { todo!() }
  pub fn movements(&self, b: BookId) -> Result<Vec<(MovementKey, Movement)>, StorageError> { todo!() }
  pub fn movements_of(&self, k: &ControlKey) -> Result<Vec<(MovementKey, Movement)>, StorageError> { todo!() }
  pub fn items(&self, b: BookId, a: AccountId, p: Option<&Party>, after: Option<&ItemKey>, limit: usize) -> Result<Vec<(ItemKey, Sums)>, StorageError> { todo!() }
  pub fn charges(&self, b: BookId, c: Option<&Party>, after: Option<&DocumentId>, limit: usize) -> Result<Vec<Charge>, StorageError> { todo!() }
  pub fn payments(&self, b: BookId, c: Option<&Party>, after: Option<&DocumentId>, limit: usize) -> Result<Vec<Payment>, StorageError> { todo!() }
  pub fn refunds(&self, b: BookId, c: Option<&Party>, after: Option<&DocumentId>, limit: usize) -> Result<Vec<Refund>, StorageError> { todo!() }
  pub fn controls(&self, b: BookId) -> Result<Vec<(ControlKey, Sums)>, StorageError> { todo!() }
  pub fn subaccounts_of(&self, b: BookId, a: AccountId, p: Option<&Party>) -> Result<Vec<(SubaccountKey, Subaccount)>, StorageError> { todo!() }
  pub fn holds(&self, b: BookId, after: Option<&DocumentId>, limit: usize) -> Result<Vec<Hold>, StorageError> { todo!() }
  pub fn entry_records(&self, b: BookId, after: EntryNumber, limit: usize) -> Result<Vec<(EntryNumber, EntryRecord)>, StorageError> { todo!() }
  pub fn decisions(&self, from: Position, limit: usize, max_bytes: usize) -> Result<Vec<Decision>, StorageError> { todo!() }
  pub fn posting(&self, r: PostingRef) -> Result<Option<Posting>, StorageError> { todo!() }
  pub fn postings(&self, k: &SubaccountKey, order: Order, after: Option<u64>, limit: usize) -> Result<Vec<Posting>, StorageError> { todo!() }
  pub fn balance_at(&self, k: &SubaccountKey, as_of: Option<Date>, at: Option<Position>) -> Result<Movement, StorageError> { todo!() }
}
pub enum Order { Newest, Oldest }
impl Read for View<'_> {
    fn head(&self) -> Head { todo!() }
    fn book(&self, id: BookId) -> Option<Arc<Book>> { todo!() }
    fn book_by_code(&self, code: &BookCode) -> Option<Arc<Book>> { todo!() }
    fn totals(&self, book: BookId) -> BookTotals { todo!() }
    fn currency(&self, book: BookId, code: &CurrencyCode) -> Option<Currency> { todo!() }
    fn currency_by_id(&self, book: BookId, id: CurrencyId) -> Option<Currency> { todo!() }
    fn account(&self, book: BookId, id: AccountId) -> Option<Arc<Account>> { todo!() }
    fn account_by_code(&self, book: BookId, code: &AccountCode) -> Option<Arc<Account>> { todo!() }
    fn account_by_role(&self, book: BookId, role: &Role) -> Option<Arc<Account>> { todo!() }
    fn key(&self, scope: BookId, key: &Key) -> Option<KeyRecord> { todo!() }
    fn control(&self, key: &ControlKey) -> Sums { todo!() }
    fn controls_of(&self, book: BookId, account: AccountId) -> Vec<(CurrencyId, Sums)> { todo!() }
    fn subaccount(&self, key: &SubaccountKey) -> Subaccount { todo!() }
    fn item(&self, key: &ItemKey) -> Sums { todo!() }
    fn movement(&self, key: &MovementKey) -> Movement { todo!() }
    fn entry_record(&self, book: BookId, number: EntryNumber) -> Option<EntryRecord> { todo!() }
    fn entry(&self, book: BookId, number: EntryNumber) -> Option<Entry> { todo!() }
    fn hold(&self, book: BookId, id: &DocumentId) -> Option<Hold> { todo!() }
    fn charge(&self, book: BookId, id: &DocumentId) -> Option<Charge> { todo!() }
    fn payment(&self, book: BookId, id: &DocumentId) -> Option<Payment> { todo!() }
    fn refund(&self, book: BookId, id: &DocumentId) -> Option<Refund> { todo!() }
    fn due(&self, now: Timestamp) -> Option<Expiry> { todo!() }
}
#[derive(Debug)] pub enum SubmitError { NoLeader, Overloaded { retry_after: std::time::Duration }, ShuttingDown, OutcomeUnknown }
#[derive(Debug)] pub enum ReadError { NoLeader, PositionNotReached { wanted: Position, reached: Position }, TimedOut, ShuttingDown }
pub struct Node; impl std::fmt::Debug for Node { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
pub struct NodeStatus { pub node_id: u64, pub term: u64, pub leader: Option<u64>, pub recovered: bool, pub position: Position, pub queued_commands: usize }
pub struct NodeConfig { pub data: std::path::PathBuf, pub node_id: u64, pub memory_bytes: usize }
impl Node {
  pub async fn start(config: NodeConfig) -> Result<Node, StartError> { todo!() }
  pub async fn submit(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Answer>, SubmitError> { todo!() }
  pub async fn barrier(&self, deadline: Instant) -> Result<(), ReadError> { todo!() }
  pub async fn wait_position(&self, p: Position, deadline: Instant) -> Result<(), ReadError> { todo!() }
  pub fn reader(&self) -> &Reader { todo!() }
  pub async fn wait_recovered(&self, deadline: Instant) -> Result<(), ReadError> { todo!() }
  pub async fn shutdown(&self, deadline: Instant) { todo!() }
  pub fn status(&self) -> NodeStatus { todo!() }
}
