//! Snapshots as a file system of this machine, by FUSE: requests of the kernel, answered by [`Mounted`].

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    MountOption, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, Request, Session,
    SessionUnmounter,
};

use crate::operations::mounted::{Attributes, Form, Mounted, Refusal};

/// Requests that are answered at the same time.
const THREADS: usize = 8;

/// How long the kernel may remember what never changes.
const LONG: Duration = Duration::from_secs(3600);

/// The same of the list of snapshots.
const SHORT: Duration = Duration::from_secs(1);

/// Up to here numbers are those of the folders of the list, whose contents change.
const LISTS: u64 = 2;

/// What the kernel asks for ahead of a reader, in bytes.
const READ_AHEAD: u32 = 1024 * 1024;

/// A mounted file system.
pub struct Mount {
    session: Session<Shown>,
    unmounter: Unmounter,
}

/// Ends a mount from outside.
pub struct Unmounter {
    inner: SessionUnmounter,
    at: Box<Path>,
}

impl Mount {
    /// Mounts `shown` at the folder `at`. With `owner`, all files seem to be that user's and group's; otherwise whose they were.
    ///
    /// # Errors
    /// What the system says: there is no FUSE, or it does not let this user.
    pub fn new(shown: Arc<Mounted>, at: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("tgvault".to_owned()),
            MountOption::Subtype("tgvault".to_owned()),
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoAtime,
        ];
        config.n_threads = Some(THREADS);
        let mut session = Session::new(Shown { shown, owner }, at, &config)?;
        let unmounter = Unmounter { inner: session.unmount_callable(), at: at.into() };
        Ok(Self { session, unmounter })
    }

    /// What unmounts it, and [`Self::run`] ends; and the rest.
    pub fn split(self) -> (Unmounter, impl FnOnce() -> io::Result<()> + Send) {
        (self.unmounter, move || self.session.run())
    }
}

impl Unmounter {
    /// Unmounts it: at once, or, while a program still has a file open or stands in a folder of it, for everybody else.
    ///
    /// # Errors
    /// When the system does not.
    pub fn unmount(mut self) -> io::Result<()> {
        let Err(error) = self.inner.unmount() else { return Ok(()) };
        // Both take it out of the tree of folders and leave it to those who use it.
        for (program, arguments) in [("fusermount3", ["-u", "-z"]), ("umount", ["-l", "--"])] {
            let done = Command::new(program).args(arguments).arg(&*self.at).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if done.is_ok_and(|status| status.success()) {
                return Ok(());
            }
        }
        Err(error)
    }
}

struct Shown {
    shown: Arc<Mounted>,
    owner: Option<(u32, u32)>,
}

impl Shown {
    fn attr(&self, of: &Attributes) -> FileAttr {
        let since = Duration::new(of.time.seconds.unsigned_abs(), of.time.nanos);
        let time = if of.time.seconds >= 0 {
            UNIX_EPOCH.checked_add(since)
        } else {
            let whole = Duration::from_secs(of.time.seconds.unsigned_abs());
            UNIX_EPOCH.checked_sub(whole).and_then(|time| time.checked_add(Duration::from_nanos(of.time.nanos.into())))
        };
        let time: SystemTime = time.unwrap_or(UNIX_EPOCH);
        let (uid, gid) = self.owner.or(of.owner).unwrap_or_default();
        FileAttr {
            ino: INodeNo(of.number),
            size: of.bytes,
            blocks: of.bytes.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: kind(of.form),
            perm: (of.mode & 0o7777) as u16,
            nlink: of.names,
            uid,
            gid,
            rdev: 0,
            blksize: 128 * 1024,
            flags: 0,
        }
    }
}

fn kind(form: Form) -> FileType {
    match form {
        Form::File => FileType::RegularFile,
        Form::Folder => FileType::Directory,
        Form::Link => FileType::Symlink,
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Missing => Errno::ENOENT,
        Refusal::NotAFolder => Errno::ENOTDIR,
        Refusal::IsAFolder => Errno::EISDIR,
        Refusal::NotALink => Errno::EINVAL,
        Refusal::Failed => Errno::EIO,
    }
}

impl Filesystem for Shown {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // A kernel that cannot do one of these does without.
        let _ = config.set_max_readahead(READ_AHEAD);
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.shown.find(parent.0, name.as_bytes()) {
            Ok(found) => reply.entry(if parent.0 <= LISTS { &SHORT } else { &LONG }, &self.attr(&found), Generation(0)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.shown.attributes(number.0) {
            Ok(found) => reply.attr(&LONG, &self.attr(&found)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.shown.link(number.0) {
            Ok(target) => reply.data(&target),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() == OpenAccMode::O_RDONLY {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        } else {
            reply.error(Errno::EROFS);
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.shown.read(number.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(&self, _: &Request, folder: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        // The two that every folder has come first.
        for (at, name) in [(0, "."), (1, "..")] {
            if offset <= at && reply.add(folder, at + 1, FileType::Directory, name) {
                return reply.ok();
            }
        }
        let listed = self.shown.children(folder.0, offset.saturating_sub(2), &mut |child, next| {
            !reply.add(INodeNo(child.number), next.saturating_add(2), kind(child.form), OsStr::from_bytes(child.name))
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }
}
