//! A node's data directory on a file system of its own: an ext4 image on a loop device, whose power can be cut.
//!
//! The cut is ext4's shutdown (the ioctl that `xfs_io -c shutdown` makes): from then on nothing is written, and its
//! journal ends with what was committed. Mounting it again replays that journal, and what was not synced is gone.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::HarnessError;
use crate::tool::tool;

/// Of the image; it is sparse, so that only what is written takes room.
const MEBIBYTES: u64 = 2_048;
const DEADLINE: Duration = Duration::from_secs(20);
/// Written and not synced right before a cut: it must be gone afterwards.
const SENTINEL: &str = "unsynced";
const FILLER: &str = "filler";

/// Unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    point: PathBuf,
}

impl Disk {
    /// An empty file system at `point`, which is made. Needs root, loop devices, ext4 and xfs_io.
    pub fn new(image: &Path, point: &Path) -> Result<Self, HarnessError> {
        let cannot = |what| {
            let path = image.to_owned();
            move |source| HarnessError::File { path, what, source }
        };
        fs::create_dir_all(point).map_err(cannot("its mount point cannot be made"))?;
        let file = File::create(image).map_err(cannot("cannot be made"))?;
        file.set_len(MEBIBYTES << 20).map_err(cannot("cannot be made so long"))?;
        let (image_name, point_name) = (image.to_string_lossy(), point.to_string_lossy());
        tool("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", &image_name])?;
        // Shared, so that other mount namespaces that have copies of the mounts below lose them with us: a file system
        // that anybody holds on to would come back as the one that was shut down.
        tool("mount", &["--bind", &point_name, &point_name])?;
        let disk = Self { image: image.to_owned(), point: point.to_owned() };
        tool("mount", &["--make-shared", &point_name])?;
        disk.mount()?;
        fs::remove_dir(point.join("lost+found")).map_err(cannot("lost+found cannot be removed"))?;
        Ok(disk)
    }

    /// The power goes: what is not on the disk yet will never be. The process is to be killed at once.
    pub fn cut_power(&self) -> Result<(), HarnessError> {
        let sentinel = self.point.join(SENTINEL);
        fs::write(&sentinel, [0xA5; 4_096]).map_err(|source| HarnessError::File {
            path: sentinel,
            what: "cannot be written",
            source,
        })?;
        tool("xfs_io", &["-x", "-c", "shutdown", &self.point.to_string_lossy()]).map(drop)
    }

    /// The power comes back, with nobody using the disk. False if what was not synced before the cut is still there.
    pub fn restore_power(&self) -> Result<bool, HarnessError> {
        self.unmount()?;
        self.mount()?;
        let sentinel = self.point.join(SENTINEL);
        let Ok(left) = fs::read(&sentinel) else { return Ok(true) };
        fs::remove_file(&sentinel).map_err(|source| HarnessError::File {
            path: sentinel,
            what: "cannot be removed",
            source,
        })?;
        // The name may have been committed with something else; its content was not.
        Ok(!left.contains(&0xA5))
    }

    /// Leaves at most so many bytes free.
    pub fn fill(&self, left: u64) -> Result<(), HarnessError> {
        let path = self.point.join(FILLER);
        let cannot = |what| {
            let path = path.clone();
            move |source| HarnessError::File { path, what, source }
        };
        let mut file = File::options().create(true).append(true).open(&path).map_err(cannot("cannot be opened"))?;
        let name = path.to_string_lossy();
        while let Some(more) = self.free()?.checked_sub(left).filter(|more| *more >= 4_096) {
            let length = file.metadata().map_err(cannot("cannot be examined"))?.len();
            if tool("fallocate", &["-o", &length.to_string(), "-l", &more.to_string(), &name]).is_err() {
                break;
            }
        }
        if left == 0 {
            // What only a write can take.
            while file.write_all(&[0xA5; 4_096]).is_ok() {}
        }
        Ok(())
    }

    pub fn empty(&self) -> Result<(), HarnessError> {
        let path = self.point.join(FILLER);
        fs::remove_file(&path).map_err(|source| HarnessError::File { path, what: "cannot be removed", source })
    }

    /// Bytes that can still be written.
    pub fn free(&self) -> Result<u64, HarnessError> {
        let said = tool("stat", &["-f", "-c", "%a %S", &self.point.to_string_lossy()])?;
        let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [blocks, size] => Ok(blocks * size),
            _ => Err(HarnessError::Tool { command: "stat -f".to_owned(), said }),
        }
    }

    fn mount(&self) -> Result<(), HarnessError> {
        let (image, point) = (self.image.to_string_lossy(), self.point.to_string_lossy());
        tool("mount", &["-t", "ext4", "-o", "loop", &image, &point]).map(drop)
    }

    /// Returns when the loop device has let go of the image, too.
    fn unmount(&self) -> Result<(), HarnessError> {
        let (image, point) = (self.image.to_string_lossy(), self.point.to_string_lossy());
        let deadline = Instant::now() + DEADLINE;
        loop {
            match tool("umount", &[&point]) {
                Ok(_) => break,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        while !tool("losetup", &["-j", &image])?.trim().is_empty() {
            if Instant::now() > deadline {
                let said = "somebody still holds the file system".to_owned();
                return Err(HarnessError::Tool { command: format!("losetup -j {image}"), said });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What stays mounted is said; the run's verdict matters more.
        if let Err(error) = self.unmount().and_then(|()| tool("umount", &[&self.point.to_string_lossy()]).map(drop)) {
            tracing::warn!(%error, "a disk stays mounted");
        }
        drop(fs::remove_file(&self.image));
    }
}
