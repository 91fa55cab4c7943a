//! What an import tells when it is over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::proposed::Refusal;
use super::send::Outcome;
use crate::cli::CliError;
use crate::cli::output::{csv, print_line};

/// Refusals of one code that are shown; all of them are in the file that `--report` writes.
const SHOWN: usize = 10;

#[derive(Debug, Default)]
pub struct Report {
    /// By what was to be done: entries, accounts, currencies.
    counts: BTreeMap<&'static str, Counts>,
    rows: Vec<[String; 5]>,
    refused: Vec<Refusal>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    posted: usize,
    before: usize,
    acceptable: usize,
    refused: usize,
}

impl Report {
    /// What became of one thing that the file asked for.
    pub fn count(&mut self, what: &'static str, place: &str, key: &str, outcome: Outcome) {
        let counts = self.counts.entry(what).or_default();
        let (status, code, why) = match outcome {
            Outcome::Posted => {
                counts.posted += 1;
                ("posted", String::new(), String::new())
            }
            Outcome::Before => {
                counts.before += 1;
                ("posted before", String::new(), String::new())
            }
            Outcome::Acceptable => {
                counts.acceptable += 1;
                ("acceptable", String::new(), String::new())
            }
            Outcome::Refused { code, why } => {
                counts.refused += 1;
                self.refused.push(Refusal { place: place.to_owned(), code: code.clone(), why: why.clone() });
                ("refused", code, why)
            }
        };
        self.rows.push([place.to_owned(), key.to_owned(), status.to_owned(), code, why]);
    }

    /// What was refused before anything was sent.
    pub fn refuse(&mut self, refusal: Refusal) {
        let Refusal { place, code, why } = &refusal;
        self.rows.push([place.clone(), String::new(), "refused".to_owned(), code.clone(), why.clone()]);
        self.refused.push(refusal);
    }

    #[must_use]
    pub fn has_refusals(&self) -> bool {
        !self.refused.is_empty()
    }

    pub fn print(&self, dry_run: bool) -> Result<(), CliError> {
        for (what, Counts { posted, before, acceptable, refused }) in &self.counts {
            print_line(&if dry_run {
                format!("{what}: {acceptable} acceptable, {before} there already, {refused} refused")
            } else {
                format!("{what}: {posted} posted, {before} already before, {refused} refused")
            })?;
        }
        let mut by_code: BTreeMap<&str, Vec<&Refusal>> = BTreeMap::new();
        for refusal in &self.refused {
            by_code.entry(&refusal.code).or_default().push(refusal);
        }
        for (code, refusals) in by_code {
            print_line(&format!("refused with {code}: {}", refusals.len()))?;
            for Refusal { place, why, .. } in refusals.iter().take(SHOWN) {
                print_line(&format!("  {place}: {why}"))?;
            }
            if refusals.len() > SHOWN {
                print_line(&format!("  and {} more (--report FILE lists them)", refusals.len() - SHOWN))?;
            }
        }
        Ok(())
    }

    /// A row for each thing that the file asked for.
    pub fn write(&self, path: Option<&PathBuf>) -> Result<(), CliError> {
        let Some(path) = path else { return Ok(()) };
        let rows: Vec<_> = self.rows.iter().map(|row| row.to_vec()).collect();
        let text = csv(&["Place", "Key", "Status", "Code", "Why"], &rows);
        std::fs::write(path, text).map_err(|source| CliError::Write { path: path.clone(), source })
    }
}
