//! A crash leaves a state that is not ahead of its log, unless it was installed just there, and a log that reaches back
//! to it.

use super::Invariant;
use super::checkpoint_before_purge::durable_index;
use crate::cluster::Site;
use crate::looks::Seen;

#[derive(Debug)]
pub(super) struct StateBehindLog;

impl Invariant for StateBehindLog {
    fn name(&self) -> &'static str {
        "state behind log"
    }

    fn check(&mut self, _: &Seen<'_>) -> Result<(), String> {
        Ok(())
    }

    fn after_crash(&mut self, site: &Site) -> Result<(), String> {
        let durable = durable_index(site)?;
        let log = &site.disks.log;
        let purged = log.synced_purged().map(|purged| purged.index);
        if durable < purged {
            return Err(format!("node {}: the state ends at {durable:?}, the log begins after {purged:?}", site.id));
        }
        Ok(())
    }
}
