//! The content of a listed file: opening it again, reading it, noticing that it changed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Advice, FileType, Stat, fadvise, fstat};
use rustix::io::Errno;

use crate::fs::{dir, stat};
use crate::model::entry::{EntryPath, Timestamp};
use crate::source::{Body, Content};

/// Files from this length on are read ahead further than the kernel does by itself.
const READ_AHEAD_FROM: u64 = 1024 * 1024;

/// What of a file's numbers is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ignored {
    /// The inode number, where it does not tell files apart.
    pub inode: bool,
    /// The time of the inode's last change.
    pub ctime: bool,
}

/// What a file looked like when it was listed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    size: u64,
    mtime: Timestamp,
    ctime: Timestamp,
}

impl Seen {
    fn of(stat: &Stat, ignored: Ignored) -> Self {
        let ctime = if ignored.ctime { Timestamp::default() } else { stat::ctime(stat) };
        Self { size: stat::size(stat), mtime: stat::mtime(stat), ctime }
    }
}

/// A listed file that can be opened.
pub(super) struct FileContent {
    root: Arc<OwnedFd>,
    path: EntryPath,
    id: stat::FileId,
    seen: Seen,
    ignored: Ignored,
    sparse: bool,
}

impl FileContent {
    /// The file at `path` below `root`, described by `listed`.
    pub(super) fn new(root: Arc<OwnedFd>, path: EntryPath, listed: &Stat, ignored: Ignored) -> Self {
        let (id, seen, sparse) = (stat::id(listed), Seen::of(listed, ignored), stat::is_sparse(listed));
        Self { root, path, id, seen, ignored, sparse }
    }

    /// Whether what was opened is what was listed. Equal lengths and times vouch for it where the numbers of inodes change.
    fn is_same_file(&self, now: &Stat) -> bool {
        stat::id(now) == self.id || self.ignored.inode || Seen::of(now, self.ignored) == self.seen
    }

    fn open_file(&self) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        match open_in_one_call(&self.root, self.path.as_bytes()) {
            Ok(file) => return Ok(file.into()),
            // Kernels before 5.6, sandboxes that do not know the call, and paths beyond PATH_MAX take the long way.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        let mut components: Vec<&[u8]> = self.path.components().collect();
        let name = components.pop().unwrap_or_default();
        let parent = dir::open_folder_beneath(&self.root, components)?;
        Ok(dir::open_file(&parent, name)?.into())
    }
}

/// Opens the file at `path` below `root` without following a link in any component.
#[cfg(target_os = "linux")]
fn open_in_one_call(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(root, path, flags | OFlags::NOATIME, Mode::empty(), resolve) {
        Err(Errno::PERM) => openat2(root, path, flags, Mode::empty(), resolve),
        other => other,
    }
}

impl Content for FileContent {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut file = self.open_file()?;
        let now = fstat(&file)?;
        if stat::file_type(&now) != FileType::RegularFile {
            return Err(io::Error::other(format!(
                "a {} has taken the file's place since it was listed",
                stat::kind_name(stat::file_type(&now))
            )));
        }
        if !self.is_same_file(&now) {
            return Err(io::Error::other("another file has taken its place since it was listed; the next backup takes that one"));
        }
        if self.seen.size >= READ_AHEAD_FROM {
            // A hint only; file systems without it read on as they do.
            let _ = fadvise(&file, 0, None, Advice::Sequential);
        }
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
        }
        let holes = self.sparse.then_some(Region { at: from, end: from, is_hole: false });
        Ok(Box::new(FileBody { file, seen: self.seen, ignored: self.ignored, holes }))
    }

    fn may_say_a_wrong_length(&self) -> bool {
        true
    }
}

/// A stretch of a sparse file that is either data or hole.
struct Region {
    at: u64,
    end: u64,
    is_hole: bool,
}

/// An open file on its way into an archive.
struct FileBody {
    file: File,
    seen: Seen,
    ignored: Ignored,
    /// `Some` for sparse files: holes are delivered as zeros without asking the disk for them.
    holes: Option<Region>,
}

impl Read for FileBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(region) = &mut self.holes else {
            return self.file.read(buffer);
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        if region.at >= region.end && !next_region(&mut self.file, region)? {
            return Ok(0);
        }
        let left = usize::try_from(region.end - region.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted) else { return Ok(0) };
        let read = if region.is_hole {
            buffer.fill(0);
            wanted
        } else {
            self.file.read(buffer)?
        };
        region.at += read as u64;
        if read == 0 {
            // The file was cut while it was read.
            region.end = region.at;
        }
        Ok(read)
    }
}

/// Finds out what begins at the end of `region`; `false` at the end of the file.
fn next_region(file: &mut File, region: &mut Region) -> io::Result<bool> {
    use rustix::fs::SeekFrom as Seek;
    let at = region.at;
    let size = stat::size(&fstat(&*file)?);
    if at >= size {
        return Ok(false);
    }
    let (end, is_hole) = match rustix::fs::seek(&*file, Seek::Data(at)) {
        Ok(data) if data > at => (data.min(size), true),
        Ok(_) => match rustix::fs::seek(&*file, Seek::Hole(at)) {
            Ok(hole) if hole > at => (hole, false),
            _ => (size, false),
        },
        // No data from here to the end.
        Err(Errno::NXIO) => (size, true),
        // A file system that cannot tell: everything is data.
        Err(_) => (size, false),
    };
    if !is_hole {
        file.seek(SeekFrom::Start(at))?;
    }
    *region = Region { at, end, is_hole };
    Ok(true)
}

impl Body for FileBody {
    fn changed(&mut self) -> io::Result<bool> {
        Ok(Seen::of(&fstat(&self.file)?, self.ignored) != self.seen)
    }
}
