//! How a file system keeps its numbers: whether an inode means the same file tomorrow, and how finely it tells times.

use std::os::fd::AsFd;
use std::time::Duration;

/// What can be relied on of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Whether a file has the same inode number whenever it is looked at, also after the file system was mounted again.
    pub durable_inodes: bool,
    /// Two changes that are further apart than this have different times.
    pub tick: Duration,
    /// Whether lengths can be trusted; 0 bytes may have content where programs make files up as they are read.
    pub true_sizes: bool,
}

/// The clocks of disks' file systems tick at least this often.
const TICK: Duration = Duration::from_millis(20);

/// FAT counts every other second.
const COARSE_TICK: Duration = Duration::from_secs(2);

impl Manner {
    /// A file system on a disk, as most are.
    pub(crate) const DISK: Self = Self { durable_inodes: true, tick: TICK, true_sizes: true };
    /// One that numbers files as it meets them (FAT, most programs behind FUSE, Windows shares).
    const NUMBERED_AS_MET: Self = Self { durable_inodes: false, tick: COARSE_TICK, true_sizes: true };
    /// One that a program makes up: `/proc`, `/sys`, mounts of clouds.
    const MADE_UP: Self = Self { durable_inodes: false, tick: COARSE_TICK, true_sizes: false };

    /// The manner of the file system that an open file or folder lies on.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(file: impl AsFd) -> Self {
        let Ok(found) = rustix::fs::fstatfs(file) else { return Self::DISK };
        #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the width of the field differs between platforms")]
        match found.f_type as u32 {
            // FUSE; proc, sysfs, debugfs, tracefs, cgroups, configfs, securityfs.
            0x6573_5546 | 0x9fa0 | 0x6265_6572 | 0x6462_6720 | 0x7472_6163 | 0x0027_e0eb | 0x6367_7270 | 0x6265_6570 | 0x7363_6673 => {
                Self::MADE_UP
            }
            // msdos and vfat, exfat; cifs, smb, smb2.
            0x4d44 | 0x2011_bab0 | 0xff53_4d42 | 0x517b | 0xfe53_4d42 => Self::NUMBERED_AS_MET,
            _ => Self::DISK,
        }
    }

    /// The manner of the file system that an open file or folder lies on.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: impl AsFd) -> Self {
        Self::DISK
    }
}
