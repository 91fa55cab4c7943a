//! A beancount file with all that it includes, cut into its directives: each is parsed alone, so that one that the
//! parser does not take is refused with its line, and nothing is ever skipped silently.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use beancount_parser::Directive;

use super::decimal::Exact;
use crate::cli::CliError;
use crate::cli::import_journal::proposed::Journal;

/// One directive.
#[derive(Debug)]
pub struct Block {
    pub place: String,
    /// As it stands in the file.
    pub text: String,
    /// Pushed around it.
    pub tags: BTreeSet<String>,
    pub directive: Directive<Exact>,
}

/// What the files hold.
#[derive(Debug, Default)]
pub struct Source {
    pub options: Vec<(String, String)>,
    /// In the order of the files.
    pub blocks: Vec<Block>,
}

impl Source {
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|option| option.0 == name).map(|option| option.1.as_str())
    }

    /// All values of an option that may be given several times.
    pub fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |option| option.0 == name).map(|option| option.1.as_str())
    }

    /// Reads a file and those that it includes.
    pub fn read(path: &Path, journal: &mut Journal) -> Result<Self, CliError> {
        let mut source = Self::default();
        let mut waiting = vec![path.to_owned()];
        let mut seen = HashSet::new();
        while let Some(path) = waiting.pop() {
            let text =
                std::fs::read_to_string(&path).map_err(|error| CliError::Read { path: path.clone(), source: error })?;
            if seen.insert(path.clone()) {
                let mut included = source.file(&path, &text, journal);
                included.reverse();
                waiting.append(&mut included);
            }
        }
        Ok(source)
    }

    /// The files that it includes.
    fn file(&mut self, path: &Path, text: &str, journal: &mut Journal) -> Vec<PathBuf> {
        let mut included = vec![];
        let mut tags = BTreeSet::new();
        let mut open: Option<(usize, String)> = None;
        for (line, number) in text.lines().zip(1usize..) {
            let is_inside = open.as_ref().is_some_and(|(_, block)| string_is_open(block));
            if line.starts_with(';') && !is_inside {
                continue;
            }
            let is_part = is_inside || line.starts_with([' ', '\t']);
            if let (true, Some((_, block))) = (is_part, &mut open) {
                block.push('\n');
                block.push_str(line);
                continue;
            }
            if let Some((start, block)) = open.take() {
                self.directive(&format!("{}:{start}", path.display()), block, &tags, journal);
            }
            if is_dated(line) {
                open = Some((number, line.to_owned()));
            } else if let Some(include) =
                self.undated(&format!("{}:{number}", path.display()), line, &mut tags, journal)
            {
                included.push(path.parent().unwrap_or(Path::new("")).join(include));
            }
        }
        if let Some((start, block)) = open {
            self.directive(&format!("{}:{start}", path.display()), block, &tags, journal);
        }
        included
    }

    /// Options and the like; the path of an include.
    fn undated(
        &mut self,
        place: &str,
        line: &str,
        tags: &mut BTreeSet<String>,
        journal: &mut Journal,
    ) -> Option<PathBuf> {
        let words: Vec<_> = line.split_whitespace().collect();
        let strings: Vec<_> = line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        match (words.first().copied(), strings.as_slice()) {
            (None, _) => {}
            (Some("option"), [name, value]) => self.options.push((name.clone(), value.clone())),
            (Some("include"), [path]) if !path.contains(['*', '?']) => return Some(PathBuf::from(path)),
            (Some("plugin"), _) => journal.leave_out("plugin (not run)"),
            (Some("pushtag"), _) => tags.extend(words.get(1).map(|tag| tag.trim_start_matches('#').to_owned())),
            (Some("poptag"), _) => {
                if let Some(tag) = words.get(1) {
                    tags.remove(tag.trim_start_matches('#'));
                }
            }
            // Beancount passes over lines that begin so: headings of outlines, for one.
            (Some(_), _) if line.starts_with(['*', ':', '#', '!', '&', '?', '%']) => {}
            (Some(_), _) => journal.refuse(place, "syntax", format!("{line:?} is not understood")),
        }
        None
    }

    fn directive(&mut self, place: &str, text: String, tags: &BTreeSet<String>, journal: &mut Journal) {
        let kept = match text.split_whitespace().nth(1) {
            Some("price") => Err("price"),
            Some("event") => Err("event"),
            Some("commodity") => Err("commodity"),
            Some("note") => Err("note"),
            Some("document") => Err("document"),
            Some("query") => Err("query"),
            Some("custom") => Err("custom"),
            Some("close") => Err("close (accounts stay open)"),
            Some(_) | None => Ok(()),
        };
        if let Err(what) = kept {
            return journal.leave_out(what);
        }
        // Dates with slashes are beancount's, but not the parser's.
        let dated = format!("{}{}", text[..10].replace('/', "-"), &text[10..]);
        match dated.trim_end().parse() {
            Ok(directive) => {
                self.blocks.push(Block { place: place.to_owned(), text, tags: tags.clone(), directive });
            }
            Err(error) => {
                let error: beancount_parser::Error = error;
                let line = usize::try_from(error.line_number()).unwrap_or(1);
                let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
                journal.refuse(place, "syntax", format!("not understood from its line {line} on: {shown:?}"));
            }
        }
    }
}

/// Whether a string begins in it that goes on in the next line.
fn string_is_open(text: &str) -> bool {
    let (mut is_open, mut is_comment, mut is_escaped) = (false, false, false);
    for letter in text.chars() {
        match letter {
            '\n' => is_comment = false,
            _ if is_comment => {}
            '"' if !is_escaped => is_open = !is_open,
            ';' if !is_open => is_comment = true,
            _ => {}
        }
        is_escaped = is_open && letter == '\\' && !is_escaped;
    }
    is_open
}

/// Whether a directive begins here.
fn is_dated(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() > 10
        && bytes[..10].iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => matches!(byte, b'-' | b'/'),
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_may_go_on_in_the_next_line() {
        for (text, expected) in [
            ("2026-01-01 * \"x\" ; it's \"so", false),
            ("2026-01-01 query \"a\" \"", true),
            ("2026-01-01 query \"a\" \"\n SELECT ; x\n\"", false),
            ("2026-01-01 * \"a \\\" b\"", false),
            ("2026-01-01 * \"a \\\\\" ", false),
            ("2026-01-01 * \"a \\\" ", true),
        ] {
            assert_eq!(string_is_open(text), expected, "{text}");
        }
    }

    #[test]
    fn everything_in_a_file_is_read_left_out_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("more.beancount"), "2026/01/03 open Assets:Cash\n").unwrap();
        std::fs::write(
            path("main.beancount"),
            "* A heading\noption \"title\" \"T\"\ninclude \"more.beancount\"\npushtag #trip\n\
             2026-01-01 open Assets:Bank ; USD\n2026-01-02 query \"q\" \"\nSELECT 1\n\"\n\
             2026-01-02 * \"x\"\n; a comment\n  Assets:Bank  1 USD\n  Assets:Cash\n\n\
             poptag #trip\n2026-01-02 open\n  nothing\nnonsense\ninclude \"*.beancount\"\n",
        )
        .unwrap();
        let mut journal = Journal::default();
        let source = Source::read(&path("main.beancount"), &mut journal).unwrap();
        assert_eq!(source.option("title"), Some("T"));
        let shown = |block: &Block| (block.text.lines().count(), block.tags.iter().cloned().collect::<String>());
        let blocks: Vec<_> = source.blocks.iter().map(shown).collect();
        assert_eq!(blocks, [(1, "trip".to_owned()), (3, "trip".to_owned()), (1, String::new())]);
        assert_eq!(journal.left_out.into_iter().collect::<Vec<_>>(), [("query", 1)]);
        let line = |place: &str| place.rsplit(':').next().unwrap_or_default().to_owned();
        let refused: Vec<_> = journal.refused.iter().map(|refusal| line(&refusal.place)).collect();
        assert_eq!(refused, ["15", "17", "18"]);
    }
}
