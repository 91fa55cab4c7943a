//! Files and tables in memory that lose what was not synced: what the simulator and the crash tests install
//! checkpoints over.
//!
//! A file's bytes are durable once it was synced, a name once its directory was. After a power cut a store comes back
//! with that, or with everything that was written, as a real disk may.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::files::{Files, Listed};
use super::home::FIRST_DIRECTORY;
use super::store::TableStore;
use crate::codec::{CodecError, Levels, Reader, Stored, Writer, open, seal};
use crate::engine::{Batch, EngineError, MemoryEngine, Row, Table, TableEngine};
use crate::log::memory::{Power, Unsynced};
use crate::state::{HeadRecord, OpenError, read_head};

#[derive(Clone, Debug, Default)]
struct Content {
    written: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    /// By its place among the contents.
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct Tree {
    contents: Vec<Content>,
    live: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _name)| parent)
}

impl Tree {
    fn file(&self, path: &str) -> io::Result<usize> {
        match self.live.get(path) {
            Some(Node::File(place)) => Ok(*place),
            Some(Node::Directory) | None => Err(io::Error::new(io::ErrorKind::NotFound, path.to_owned())),
        }
    }

    fn add(&mut self, path: &str, node: Node) -> io::Result<()> {
        let parent = parent(path);
        if !parent.is_empty() && self.live.get(parent) != Some(&Node::Directory) {
            return Err(io::Error::new(io::ErrorKind::NotFound, parent.to_owned()));
        }
        self.live.insert(path.to_owned(), node);
        Ok(())
    }
}

/// Files in memory. Clones are handles of one tree.
#[derive(Clone, Debug)]
pub struct MemoryFiles {
    tree: Arc<Mutex<Tree>>,
    power: Power,
}

impl MemoryFiles {
    #[must_use]
    pub fn new(power: Power) -> Self {
        Self { tree: Arc::default(), power }
    }

    /// The files as the next process finds them.
    #[must_use]
    pub fn after_power_cut(&self, unsynced: Unsynced, power: Power) -> Self {
        let tree = self.tree.lock();
        let mut left = Tree::default();
        let names = match unsynced {
            Unsynced::Lost => &tree.durable,
            Unsynced::Kept => &tree.live,
        };
        // In the order of the paths a directory comes before what stands in it.
        for (path, node) in names {
            let node = match node {
                Node::Directory => Node::Directory,
                Node::File(place) => {
                    let content = &tree.contents[*place];
                    let bytes = match unsynced {
                        Unsynced::Lost => content.synced.clone(),
                        Unsynced::Kept => content.written.clone(),
                    };
                    left.contents.push(Content { written: bytes.clone(), synced: bytes });
                    Node::File(left.contents.len() - 1)
                }
            };
            // What stands in a directory whose own name was lost is lost with it.
            if left.add(path, node).is_ok() {
                left.durable.insert(path.clone(), node);
            }
        }
        Self { tree: Arc::new(Mutex::new(left)), power }
    }

    fn step(&self) -> io::Result<()> {
        self.power.step().map_err(io::Error::other)
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("what is in memory has an address")
}

impl Files for MemoryFiles {
    fn make_directory(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.tree.lock().add(path, Node::Directory)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Listed>> {
        let tree = self.tree.lock();
        let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let entries = tree.live.iter().filter(|(path, _)| parent(path) == directory);
        let listed = entries.map(|(path, node)| match node {
            Node::Directory => Listed { name: name(path), length: None },
            Node::File(place) => {
                let length = tree.contents[*place].written.len();
                Listed { name: name(path), length: Some(u64::try_from(length).expect("64 bits")) }
            }
        });
        Ok(listed.collect())
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let tree = self.tree.lock();
        Ok(tree.file(path).ok().map(|place| tree.contents[place].written.clone()))
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let tree = self.tree.lock();
        let bytes = &tree.contents[tree.file(path)?].written;
        let from = place(offset);
        bytes.get(from..from + length).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut tree = self.tree.lock();
        let file = match tree.file(path) {
            Ok(file) => file,
            Err(_not_there) => {
                tree.contents.push(Content::default());
                let file = tree.contents.len() - 1;
                tree.add(path, Node::File(file))?;
                file
            }
        };
        let written = &mut tree.contents[file].written;
        let (from, to) = (place(offset), place(offset) + bytes.len());
        if written.len() < to {
            written.resize(to, 0);
        }
        written[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.step()?;
        let mut tree = self.tree.lock();
        let file = tree.file(path)?;
        let content = &mut tree.contents[file];
        content.synced = content.written.clone();
        Ok(())
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.step()?;
        let mut tree = self.tree.lock();
        let now: Vec<_> =
            tree.live.iter().filter(|entry| parent(entry.0) == path).map(|(p, n)| (p.clone(), *n)).collect();
        tree.durable.retain(|entry, _| parent(entry) != path);
        tree.durable.extend(now);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        let mut tree = self.tree.lock();
        let file = tree.file(from)?;
        tree.live.remove(from);
        tree.add(to, Node::File(file))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.step()?;
        self.tree.lock().live.remove(path);
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.step()?;
        let below = format!("{path}/");
        self.tree.lock().live.retain(|entry, _| entry != path && !entry.starts_with(&below));
        Ok(())
    }
}

/// Tables in memory, one engine per directory, over files in memory. Clones are handles of one store.
///
/// A directory whose engine was opened once is that engine; a checkpoint is a file per table.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    files: MemoryFiles,
    engines: Arc<Mutex<BTreeMap<String, MemoryEngine>>>,
}

const CHECKPOINT_VERSION: u8 = 1;
const CHECKPOINT_FILE: &str = "a checkpoint's table";

impl MemoryStore {
    #[must_use]
    pub fn new(power: Power) -> Self {
        let engines = BTreeMap::from([(FIRST_DIRECTORY.to_owned(), MemoryEngine::new())]);
        Self { files: MemoryFiles::new(power), engines: Arc::new(Mutex::new(engines)) }
    }

    /// The engine that was opened last.
    ///
    /// # Panics
    /// Never: the first one is there from the beginning.
    #[must_use]
    pub fn engine(&self) -> MemoryEngine {
        let engines = self.engines.lock();
        let newest = engines.iter().max_by_key(|(directory, _)| (directory.len(), directory.as_str()));
        newest.map(|(_, engine)| engine.clone()).expect("the first engine is there from the beginning")
    }

    /// The store as the next process finds it; of the tables, what was flushed and the first `kept` batches after it.
    #[must_use]
    pub fn after_power_cut(&self, unsynced: Unsynced, kept: usize, power: Power) -> Self {
        let engines = self.engines.lock().iter().map(|(name, engine)| (name.clone(), engine.crash(kept))).collect();
        let files = self.files.after_power_cut(unsynced, power);
        Self { files, engines: Arc::new(Mutex::new(engines)) }
    }

    /// The engine of a checkpoint's files.
    fn load(&self, directory: &str) -> Result<MemoryEngine, EngineError> {
        let failed = |message: String| EngineError::Open { path: directory.to_owned(), message };
        let engine = MemoryEngine::new();
        let mut batch = Batch::new();
        for table in Table::ALL {
            let path = format!("{directory}/{}", table.name());
            let Some(bytes) = self.files.read(&path).map_err(|error| failed(error.to_string()))? else { continue };
            let rows = decode_rows(&bytes).map_err(|error| failed(error.to_string()))?;
            for (key, value) in rows {
                batch.put(table, key, value);
            }
        }
        engine.write(batch)?;
        engine.flush()?;
        Ok(engine)
    }
}

fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, CodecError> {
    let mut reader: Reader<'_> = open(CHECKPOINT_FILE, CHECKPOINT_VERSION, bytes)?;
    let rows = Stored::take(&mut reader)?;
    reader.finish()?;
    Ok(rows)
}

impl TableStore for MemoryStore {
    type Engine = MemoryEngine;
    type Files = MemoryFiles;

    fn files(&self) -> &MemoryFiles {
        &self.files
    }

    fn open(&self, directory: &str) -> Result<MemoryEngine, EngineError> {
        let mut engines = self.engines.lock();
        if let Some(engine) = engines.get(directory) {
            return Ok(engine.clone());
        }
        let engine = self.load(directory)?;
        engines.insert(directory.to_owned(), engine.clone());
        Ok(engine)
    }

    fn head(&self, directory: &str, known: Levels) -> Result<Option<HeadRecord>, OpenError> {
        read_head(&self.load(directory)?, known)
    }

    fn checkpoint(&self, engine: &MemoryEngine, directory: &str) -> Result<(), EngineError> {
        engine.flush()?;
        let failed = |error: io::Error| EngineError::Flush { message: error.to_string() };
        self.files.make_directory(directory).map_err(failed)?;
        for (table, rows) in engine.dump().into_iter().filter(|(_, rows)| !rows.is_empty()) {
            let bytes = seal(CHECKPOINT_VERSION, |writer: &mut Writer| rows.put(writer));
            let path = format!("{directory}/{}", table.name());
            self.files.write_at(&path, 0, &bytes).map_err(failed)?;
        }
        Ok(())
    }

    fn retire(&self, _engine: &MemoryEngine, directory: &str) {
        self.engines.lock().remove(directory);
    }
}
