//! Restoring into folders: friendly, occupied and hostile ones.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use tempfile::TempDir;

mod full;
mod hostile;

use super::*;
use crate::fs::testing::{NOBODY, as_nobody};
use crate::model::entry::{EntryPath, Kind, Metadata, Timestamp, Xattr};

const EVERY: [Overwrite; 3] = [Overwrite::Always, Overwrite::IfChanged, Overwrite::Never];

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn meta(mode: u32) -> Metadata {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Metadata { mode, uid, gid, mtime: Timestamp { seconds: 1_000_000_000, nanos: 123_456_789 }, xattrs: Vec::new() }
}

fn open(root: &Path, overwrite: Overwrite) -> TargetFolder {
    TargetFolder::open(root, overwrite, TargetOptions::default()).unwrap()
}

fn write(target: &TargetFolder, at: &str, content: &[u8]) -> Result<(), TargetError> {
    write_with(target, at, content, &meta(0o640))
}

fn write_with(target: &TargetFolder, at: &str, content: &[u8], meta: &Metadata) -> Result<(), TargetError> {
    let mut file = target.file(&path(at), meta, content.len() as u64, false)?;
    file.write_all(content).map_err(|error| TargetError::from_write(&path(at), error))?;
    file.commit()
}

/// Ends a restore in which nothing failed.
fn finish(target: TargetFolder) -> Restored {
    let restored = target.finish().unwrap();
    assert!(restored.failures.is_empty(), "{:?}", restored.failures);
    restored
}

/// Everything below `root`, hidden entries included.
fn names(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            found.insert(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A target and, beside it, a folder that nothing may reach.
fn occupied() -> (TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let (root, outside) = (place.path().join("target"), place.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "untouched").unwrap();
    (place, root, outside)
}

fn assert_untouched(outside: &Path) {
    assert_eq!(names(outside), set(&["file"]));
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"untouched");
}

#[test]
fn a_tree_is_made_with_every_attribute() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("made/with/parents");
    let target = open(&root, Overwrite::Never);
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, 0o700);

    let with_xattr = Metadata { xattrs: vec![Xattr { name: b"user.x".to_vec(), value: b"\0y".to_vec() }], ..meta(0o604) };
    target.dir(&path("d"), &Metadata { xattrs: with_xattr.xattrs.clone(), ..meta(0o750) }).unwrap();
    write_with(&target, "d/file", b"content", &with_xattr).unwrap();
    target.symlink(&path("d/link"), b"../no where", &meta(0o777)).unwrap();
    target.hardlink(&path("another"), &path("d/file")).unwrap();
    write(&target, "implicit/empty", b"").unwrap();
    let restored = finish(target);
    assert_eq!((restored.files, restored.xattrs_refused, restored.owners_refused), (2, 0, 0));

    assert_eq!(names(&root), set(&["d", "d/file", "d/link", "another", "implicit", "implicit/empty"]));
    assert_eq!(fs::read(root.join("d/file")).unwrap(), b"content");
    for (name, mode) in [("d", 0o750), ("d/file", 0o604), ("implicit", 0o700), ("implicit/empty", 0o640)] {
        assert_eq!(fs::metadata(root.join(name)).unwrap().mode() & 0o7777, mode, "{name}");
    }
    for name in ["d", "d/file", "d/link", "implicit/empty"] {
        let found = fs::symlink_metadata(root.join(name)).unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000_000, 123_456_789), "{name}");
    }
    assert_eq!(fs::read_link(root.join("d/link")).unwrap(), Path::new("../no where"));
    assert_eq!(fs::metadata(root.join("another")).unwrap().ino(), fs::metadata(root.join("d/file")).unwrap().ino());
    for name in ["d", "d/file"] {
        let mut value = [0; 9];
        let length = getxattr(root.join(name), "user.x", &mut value).unwrap();
        assert_eq!(value[..length], *b"\0y");
    }
}

#[test]
fn links_that_exist_already_can_be_restored_again() {
    let place = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let target = open(place.path(), Overwrite::Always);
        write(&target, "a", b"1").unwrap();
        target.hardlink(&path("b"), &path("a")).unwrap();
        target.hardlink(&path("c"), &path("b")).unwrap();
        target.symlink(&path("s"), b"a", &meta(0o777)).unwrap();
        finish(target);
    }
    // The same file again under both names, this time kept.
    let target = open(place.path(), Overwrite::IfChanged);
    assert!(!target.wants(&path("b"), &Kind::Hardlink { target: path("a") }, 0, Timestamp::default()).unwrap());
    target.hardlink(&path("b"), &path("a")).unwrap();
    finish(target);
    assert_eq!(names(place.path()), set(&["a", "b", "c", "s"]));
    assert_eq!(fs::metadata(place.path().join("a")).unwrap().nlink(), 3);
}

#[test]
fn a_file_is_whole_or_not_there() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("old"), "old").unwrap();
    let target = open(place.path(), Overwrite::Always);
    let begin = |name, size| target.file(&path(name), &meta(0o600), size, false).unwrap();

    let mut dropped = begin("old", 3);
    dropped.write_all(b"new").unwrap();
    drop(dropped);
    let mut short = begin("old", 4);
    short.write_all(b"new").unwrap();
    assert_eq!(short.commit().unwrap_err().to_string(), "'old' should have 4 bytes of content but came with 3");
    let mut long = begin("old", 2);
    let error = TargetError::from_write(&path("old"), long.write_all(b"new").unwrap_err());
    assert!(matches!(error, TargetError::Size { expected: 2, found: 3, .. }));
    drop(long);
    finish(target);
    assert_eq!(names(place.path()), set(&["old"]));
    assert_eq!(fs::read(place.path().join("old")).unwrap(), b"old");
}

#[test]
fn what_was_committed_is_kept_when_a_restore_ends_early() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    write(&target, "done", b"x").unwrap();
    let unfinished = target.file(&path("unfinished"), &meta(0o600), 1, false).unwrap();
    drop(target);
    drop(unfinished);
    assert_eq!(names(place.path()), set(&["done"]));
}

#[test]
fn a_writer_that_outlives_its_restore_is_told() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    let late = target.file(&path("late"), &meta(0o600), 0, false).unwrap();
    finish(target);
    assert!(late.commit().unwrap_err().to_string().contains("commit 'late'"));
    assert_eq!(names(place.path()), set(&[]));
}

#[test]
fn remains_of_a_dead_restore_go_and_a_living_one_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let dead = place.path().join(format!(".tgvault-restore-{:032x}", 7));
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join(".tgvault-0-1"), "half").unwrap();
    let users = place.path().join(".tgvault-restore-mine");
    fs::create_dir(&users).unwrap();

    let first = open(place.path(), Overwrite::Never);
    assert!(!dead.exists());
    let mut file = first.file(&path("file"), &meta(0o600), 1, false).unwrap();
    let second = open(place.path(), Overwrite::Never);
    file.write_all(b"x").unwrap();
    file.commit().unwrap();
    finish(second);
    finish(first);
    assert_eq!(names(place.path()), set(&["file", ".tgvault-restore-mine"]));
}

#[test]
fn many_files_from_many_threads_arrive() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let target = &target;
            scope.spawn(move || {
                for number in 0..250_usize {
                    // Enough folders to end a batch and to push others out of the open ones.
                    write(target, &format!("{}/{number}/{thread}", number % 3), &vec![thread as u8; number]).unwrap();
                }
            });
        }
    });
    assert_eq!(finish(target).files, 1000);
    for number in 0..250_usize {
        for thread in 0..4_usize {
            let content = fs::read(place.path().join(format!("{}/{number}/{thread}", number % 3))).unwrap();
            assert!(content == vec![thread as u8; number]);
        }
    }
    assert_eq!(names(place.path()).len(), 3 + 250 + 1000);
}

#[test]
fn existing_entries_are_replaced_kept_or_compared() {
    let set_up = || {
        let place = tempfile::tempdir().unwrap();
        let first = open(place.path(), Overwrite::Never);
        write(&first, "file", b"old").unwrap();
        write(&first, "becomes-dir", b"old").unwrap();
        first.symlink(&path("link"), b"old", &meta(0o777)).unwrap();
        first.dir(&path("dir"), &meta(0o751)).unwrap();
        finish(first);
        place
    };
    let time = meta(0).mtime;
    let other = Timestamp { nanos: 1, ..time };
    let link = |target: &str| Kind::Symlink { target: target.into() };
    let wanted = |overwrite| {
        let place = set_up();
        let target = open(place.path(), overwrite);
        let wants = |name, kind: &Kind, size, time| target.wants(&path(name), kind, size, time).unwrap();
        [
            wants("file", &Kind::File, 3, time),
            wants("file", &Kind::File, 3, other),
            wants("file", &Kind::File, 4, time),
            wants("link", &link("old"), 0, other),
            wants("link", &link("new"), 0, time),
            wants("dir", &Kind::Dir, 0, time),
            wants("file", &Kind::Dir, 0, time),
            wants("new", &Kind::File, 0, time),
            wants("new/below", &Kind::File, 0, time),
        ]
    };
    assert_eq!(wanted(Overwrite::Always), [true; 9]);
    assert_eq!(wanted(Overwrite::IfChanged), [false, true, true, false, true, true, true, true, true]);
    assert_eq!(wanted(Overwrite::Never), [false, false, false, false, false, true, false, true, true]);

    for overwrite in EVERY {
        let place = set_up();
        let target = open(place.path(), overwrite);
        let results = [
            write(&target, "file", b"new").is_ok(),
            target.symlink(&path("link"), b"new", &meta(0o777)).is_ok(),
            target.dir(&path("dir"), &meta(0o700)).is_ok(),
            target.dir(&path("becomes-dir"), &meta(0o700)).is_ok(),
        ];
        let mode = || fs::metadata(place.path().join("dir")).unwrap().mode() & 0o777;
        match overwrite {
            Overwrite::Always => {
                finish(target);
                assert_eq!(results, [true; 4]);
                assert_eq!(mode(), 0o700);
            }
            Overwrite::IfChanged => {
                finish(target);
                assert_eq!(results, [true, true, true, false]);
                assert_eq!(fs::read(place.path().join("file")).unwrap(), b"new");
                assert_eq!(fs::read_link(place.path().join("link")).unwrap(), Path::new("new"));
            }
            Overwrite::Never => {
                finish(target);
                assert_eq!(results, [false, false, true, false]);
                assert_eq!(fs::read(place.path().join("file")).unwrap(), b"old");
                assert_eq!(mode(), 0o751);
            }
        }
    }
}

#[test]
fn never_overwriting_holds_also_for_what_appears_meanwhile() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    write(&target, "file", b"ours").unwrap();
    fs::write(place.path().join("file"), "theirs").unwrap();
    let restored = target.finish().unwrap();
    assert_eq!(restored.files, 0);
    assert!(matches!(restored.failures[..], [Failure { error: TargetError::Exists { .. }, .. }]));
    assert_eq!(fs::read(place.path().join("file")).unwrap(), b"theirs");
    assert_eq!(names(place.path()), set(&["file"]));
}

#[test]
fn a_folder_makes_room_for_a_file_only_when_it_is_empty() {
    let place = tempfile::tempdir().unwrap();
    let reset = || {
        fs::create_dir_all(place.path().join("empty")).unwrap();
        fs::create_dir_all(place.path().join("full/x")).unwrap();
    };
    for overwrite in EVERY {
        reset();
        let target = open(place.path(), overwrite);
        assert_eq!(write(&target, "empty", b"x").is_ok(), overwrite == Overwrite::Always);
        assert!(write(&target, "full", b"x").is_err());
        finish(target);
        assert!(place.path().join("full/x").is_dir());
        let _ = fs::remove_file(place.path().join("empty"));
    }
}

#[test]
fn removing_takes_files_links_and_empty_folders() {
    let (_place, root, outside) = occupied();
    symlink(&outside, root.join("link")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    fs::create_dir_all(root.join("full/empty")).unwrap();
    let keeping = open(&root, Overwrite::Never);
    assert!(matches!(keeping.remove(&path("file")), Err(TargetError::Exists { .. })));
    finish(keeping);
    let target = open(&root, Overwrite::Always);
    assert!(matches!(target.remove(&path("full")), Err(TargetError::InTheWay { .. })));
    for name in ["link", "file", "full/empty", "full", "missing", "missing/too"] {
        target.remove(&path(name)).unwrap();
    }
    finish(target);
    assert_eq!(names(&root), set(&[]));
    assert_untouched(&outside);
}

#[test]
fn kept_entries_can_get_their_attributes() {
    let (_place, root, outside) = occupied();
    fs::write(root.join("file"), "kept").unwrap();
    symlink(outside.join("file"), root.join("link")).unwrap();
    let before = fs::metadata(outside.join("file")).unwrap();
    let target = open(&root, Overwrite::IfChanged);
    target.attributes(&path("file"), &Kind::File, &meta(0o601)).unwrap();
    target.attributes(&path("link"), &Kind::Symlink { target: vec![] }, &meta(0o777)).unwrap();
    assert!(matches!(target.attributes(&path("link"), &Kind::File, &meta(0o777)), Err(TargetError::InTheWay { .. })));
    finish(target);
    let found = fs::metadata(root.join("file")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o601, 1_000_000_000));
    assert_eq!(fs::symlink_metadata(root.join("link")).unwrap().mtime(), 1_000_000_000);
    let after = fs::metadata(outside.join("file")).unwrap();
    assert_eq!((before.mode(), before.mtime(), before.ctime_nsec()), (after.mode(), after.mtime(), after.ctime_nsec()));
}

#[test]
fn holes_are_made_again() {
    let place = tempfile::tempdir().unwrap();
    let mut content = vec![0; 3 << 20];
    content[1 << 20] = 1;
    content[(2 << 20) + 5] = 2;
    let target = open(place.path(), Overwrite::Never);
    for (name, piece) in [("large", 1 << 20), ("odd", 12_345), ("small", 511)] {
        let mut file = target.file(&path(name), &meta(0o600), content.len() as u64, true).unwrap();
        for bytes in content.chunks(piece) {
            file.write_all(bytes).unwrap();
        }
        file.commit().unwrap();
    }
    finish(target);
    for name in ["large", "odd", "small"] {
        assert!(fs::read(place.path().join(name)).unwrap() == content, "{name}");
        let blocks = fs::metadata(place.path().join(name)).unwrap().blocks();
        assert!(blocks * 512 <= 64 * 1024, "{name}: {blocks} blocks");
    }
}

#[test]
fn names_that_the_file_system_refuses_are_errors_that_name_them() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Always);
    let long = "n".repeat(256);
    let errors = [
        write(&target, &long, b"").unwrap_err(),
        write(&target, &format!("{long}/x"), b"").unwrap_err(),
        target.dir(&path(&long), &meta(0o700)).unwrap_err(),
        target.symlink(&path(&long), b"x", &meta(0o777)).unwrap_err(),
    ];
    for error in &errors[1..] {
        assert!(!error.ends_the_run());
    }
    assert!(matches!(errors[0], TargetError::Name { .. }), "{:?}", errors[0]);
    assert!(errors.iter().all(|error| error.to_string().contains(&long)));
    write(&target, "fine", b"").unwrap();
    finish(target);
    assert_eq!(names(place.path()), set(&["fine"]));
}

#[test]
fn attributes_of_this_machine_are_not_set() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    let attribute = |name: &str| Xattr { name: name.into(), value: b"x".to_vec() };
    let xattrs = vec![attribute("security.selinux"), attribute("trusted.x"), attribute("unknown.x"), attribute("user.x")];
    write_with(&target, "file", b"", &Metadata { xattrs, ..meta(0o600) }).unwrap();
    assert_eq!(finish(target).xattrs_refused, 3);
    let mut value = [0; 9];
    assert_eq!(getxattr(place.path().join("file"), "user.x", &mut value).unwrap(), 1);
    getxattr(place.path().join("file"), "trusted.x", &mut value).unwrap_err();
}

/// An access control list in the kernel's form: version 2, then tag, permissions and id of each entry.
fn access_list() -> Vec<u8> {
    let none = u32::MAX;
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [(1_u16, 7_u16, none), (2, 7, NOBODY), (4, 5, none), (0x10, 7, none), (0x20, 5, none)] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn access_lists_come_from_the_backup_and_not_from_the_target() {
    let place = tempfile::tempdir().unwrap();
    let list = access_list();
    setxattr(place.path(), "system.posix_acl_default", &list, XattrFlags::empty()).unwrap();
    let target = open(place.path(), Overwrite::Never);
    let with_list = Metadata { xattrs: vec![Xattr { name: b"system.posix_acl_access".to_vec(), value: list.clone() }], ..meta(0o775) };
    target.dir(&path("plain"), &meta(0o755)).unwrap();
    target.dir(&path("listed"), &with_list).unwrap();
    write(&target, "plain/file", b"").unwrap();
    write_with(&target, "plain/listed", b"", &with_list).unwrap();
    finish(target);
    let access = |name: &str| {
        let mut value = [0; 99];
        getxattr(place.path().join(name), "system.posix_acl_access", &mut value).ok().map(|length| value[..length].to_vec())
    };
    assert_eq!([access("plain"), access("plain/file")], [None, None]);
    assert_eq!([access("listed"), access("plain/listed")], [Some(list.clone()), Some(list)]);
}

#[test]
fn without_privileges_owners_stay_and_programs_lend_no_rights() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("target");
    fs::set_permissions(place.path(), Permissions::from_mode(0o777)).unwrap();
    as_nobody(place.path(), || {
        // Somewhere that this user may write.
        let root = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap();
        let target = open(root.path(), Overwrite::Never);
        let owner = fs::metadata(root.path()).unwrap().uid();
        target.dir(&path("closed"), &Metadata { uid: owner + 1, ..meta(0o1500) }).unwrap();
        write_with(&target, "closed/program", b"", &Metadata { uid: owner + 1, ..meta(0o6755) }).unwrap();
        write_with(&target, "closed/own", b"", &Metadata { mode: 0o4755, ..meta(0) }).unwrap();
        let restored = finish(target);
        assert_eq!(restored.owners_refused, 0);
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().mode() & 0o7777;
        assert_eq!([mode("closed"), mode("closed/program"), mode("closed/own")], [0o1500, 0o755, 0o4755]);
        assert_eq!(fs::metadata(root.path().join("closed/program")).unwrap().uid(), owner);

        // The folder that may not be written to is opened up for the next restore, and closed again after it.
        let target = open(root.path(), Overwrite::Always);
        target.dir(&path("closed"), &meta(0o500)).unwrap();
        write(&target, "closed/own", b"new").unwrap();
        finish(target);
        assert_eq!(mode("closed"), 0o500);
        assert_eq!(fs::read(root.path().join("closed/own")).unwrap(), b"new");
        fs::set_permissions(root.path().join("closed"), Permissions::from_mode(0o700)).unwrap();
    });
    assert!(!root.exists());
}

#[test]
fn with_privileges_owners_are_restored_and_with_them_set_user_id() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    // Without privileges the owner can only be ourselves.
    let other = if rustix::process::geteuid().is_root() { NOBODY } else { meta(0).uid };
    let theirs = Metadata { uid: other, ..meta(0o4711) };
    target.dir(&path("d"), &theirs).unwrap();
    write_with(&target, "d/program", b"", &theirs).unwrap();
    target.symlink(&path("link"), b"x", &theirs).unwrap();
    finish(target);
    for (name, mode) in [("d", 0o4711), ("d/program", 0o4711), ("link", 0o777)] {
        let found = fs::symlink_metadata(place.path().join(name)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (other, mode), "{name}");
    }
}

#[test]
fn a_target_that_cannot_be_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    File::create(place.path().join("file")).unwrap();
    for name in ["file", "file/below"] {
        let error = TargetFolder::open(&place.path().join(name), Overwrite::Always, TargetOptions::default()).err().unwrap();
        assert!(error.to_string().starts_with("cannot restore into '"), "{error}");
        assert!(error.ends_the_run());
    }
}

#[test]
fn large_files_of_every_odd_length_arrive_whole() {
    let place = tempfile::tempdir().unwrap();
    let target = open(place.path(), Overwrite::Never);
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let lengths = [262_143, 262_144, 262_145, 1 << 20, (1 << 20) + 1, (1 << 20) + 4096, (2 << 20) - 1, 2_999_999];
    for length in lengths {
        for piece in [4097, 1 << 20, 3_000_000] {
            let mut file = target.file(&path(&format!("{length}-{piece}")), &meta(0o600), length as u64, false).unwrap();
            for bytes in content[..length].chunks(piece) {
                file.write_all(bytes).unwrap();
            }
            file.commit().unwrap();
        }
    }
    assert_eq!(finish(target).files, 24);
    for length in lengths {
        for piece in [4097, 1 << 20, 3_000_000] {
            assert!(fs::read(place.path().join(format!("{length}-{piece}"))).unwrap() == content[..length], "{length} {piece}");
        }
    }
}
