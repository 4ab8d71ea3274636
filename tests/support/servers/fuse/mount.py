"""Mounts a folder as file systems show it that are unlike a disk: mount.py KIND FOLDER MOUNTPOINT

inodes  a new inode number with each look, as sshfs and mergerfs may have them
sizes   every file says to be empty, and is read to its end all the same, as cloud mounts do
folded  names that differ only in case are one, and there are no hard links, as on exFAT and SMB
unfolded  names that differ only in how Unicode composes letters are one, as on a Mac's disk
"""

import errno
import itertools
import os
import stat
import sys
import unicodedata

from fuse import FUSE, FuseOSError, Operations

FIELDS = "atime ctime gid mode mtime nlink size uid blocks ino".split()
SPACE = "bavail bfree blocks bsize favail ffree files flag frsize namemax".split()


def told(call):
    """Gives the system's error to the kernel."""

    def inner(*arguments):
        try:
            return call(*arguments)
        except OSError as error:
            raise FuseOSError(error.errno)

    return inner


class Folder(Operations):
    """A folder, as it is."""

    def __init__(self, kind, folder):
        self.kind, self.folder, self.inodes = kind, folder, itertools.count(100_000)

    def at(self, path):
        if self.kind == "folded":
            path = path.lower()
        if self.kind == "unfolded":
            path = unicodedata.normalize("NFD", path)
        return self.folder + path

    @told
    def getattr(self, path, handle=None):
        found = os.lstat(self.at(path))
        shown = {"st_" + name: getattr(found, "st_" + name) for name in FIELDS}
        if self.kind == "inodes":
            shown["st_ino"] = next(self.inodes)
        if self.kind == "sizes" and stat.S_ISREG(found.st_mode):
            shown["st_size"] = 0
        return shown

    @told
    def readdir(self, path, handle):
        return [".", ".."] + os.listdir(self.at(path))

    @told
    def readlink(self, path):
        return os.readlink(self.at(path))

    @told
    def open(self, path, flags):
        return os.open(self.at(path), flags & ~os.O_DIRECT & ~os.O_NOATIME)

    @told
    def create(self, path, mode, handle=None):
        return os.open(self.at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    @told
    def read(self, path, size, offset, handle):
        return os.pread(handle, size, offset)

    @told
    def write(self, path, data, offset, handle):
        return os.pwrite(handle, data, offset)

    @told
    def truncate(self, path, length, handle=None):
        os.truncate(self.at(path), length)

    @told
    def fsync(self, path, only_data, handle):
        os.fsync(handle)

    def release(self, path, handle):
        os.close(handle)

    @told
    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    @told
    def rmdir(self, path):
        os.rmdir(self.at(path))

    @told
    def unlink(self, path):
        os.unlink(self.at(path))

    @told
    def rename(self, old, new):
        os.rename(self.at(old), self.at(new))

    @told
    def symlink(self, path, target):
        os.symlink(target, self.at(path))

    @told
    def link(self, path, first):
        if self.kind == "folded":
            raise FuseOSError(errno.EPERM)
        os.link(self.at(first), self.at(path))

    @told
    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    @told
    def chown(self, path, uid, gid):
        os.chown(self.at(path), uid, gid, follow_symlinks=False)

    @told
    def utimens(self, path, times=None):
        os.utime(self.at(path), times, follow_symlinks=False)

    @told
    def statfs(self, path):
        found = os.statvfs(self.folder)
        return {"f_" + name: getattr(found, "f_" + name) for name in SPACE}


kind, folder, mountpoint = sys.argv[1:]
options = {"direct_io": True} if kind == "sizes" else {}
FUSE(
    Folder(kind, folder),
    mountpoint,
    foreground=True,
    nothreads=True,
    use_ino=True,
    attr_timeout=0,
    entry_timeout=0,
    **options,
)
