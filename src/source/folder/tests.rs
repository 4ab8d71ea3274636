//! The walk and the reading of a folder, on real trees.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, mkfifoat, openat, unlinkat};
use tempfile::TempDir;

use super::*;
use crate::fs::testing::as_nobody;
use crate::model::entry::{EntryPath, Kind, Stamp, Xattr};
use crate::source::{Item, Problem, Stopped};

type Hook<'a> = Box<dyn FnMut(&Item) + 'a>;

/// Everything a listing said; `hook` runs at every item.
#[derive(Default)]
struct Listed<'a> {
    items: Vec<Item>,
    problems: Vec<Problem>,
    skipped: Vec<(EntryPath, String)>,
    stop_after: Option<usize>,
    hook: Option<Hook<'a>>,
}

impl Sink for Listed<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        if let Some(hook) = &mut self.hook {
            hook(&item);
        }
        self.items.push(item);
        if self.stop_after.is_some_and(|count| self.items.len() >= count) { Err(Stopped) } else { Ok(()) }
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn skipped(&mut self, path: &EntryPath, why: &str) {
        self.skipped.push((path.clone(), why.to_owned()));
    }
}

impl Listed<'_> {
    fn paths(&self) -> Vec<String> {
        self.items.iter().map(|item| item.path.to_string()).collect()
    }

    fn item(&self, path: &str) -> &Item {
        self.items.iter().find(|item| item.path.as_bytes() == path.as_bytes()).unwrap()
    }

    fn stamps(&self) -> BTreeMap<String, Option<Stamp>> {
        self.items.iter().map(|item| (item.path.to_string(), item.stamp)).collect()
    }
}

fn list_with(root: &Path, options: FolderOptions) -> Listed<'static> {
    let mut listed = Listed::default();
    FolderSource::open(root, options).unwrap().list(&mut listed).unwrap();
    listed
}

fn list(root: &Path) -> Listed<'static> {
    let listed = list_with(root, FolderOptions::default());
    assert!(listed.problems.is_empty(), "{:?}", listed.problems);
    listed
}

fn excluding(patterns: &[&str]) -> FolderOptions {
    FolderOptions { filter: PathFilter::new(&[], patterns).unwrap(), ..FolderOptions::default() }
}

fn read(item: &Item, from: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    item.content.as_ref().unwrap().open(from).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn open_error(item: &Item) -> io::Error {
    item.content.as_ref().unwrap().open(0).err().expect("opening should fail")
}

fn tree(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

#[test]
fn folders_come_before_their_content_and_names_in_bytewise_order() {
    let root = tree(&["b/z", "b/a/x", "b!", "a", "B/1", "é"]);
    fs::create_dir(root.path().join("empty")).unwrap();
    assert_eq!(list(root.path()).paths(), ["B", "B/1", "a", "b", "b/a", "b/a/x", "b/z", "b!", "empty", "é"]);
}

#[test]
fn every_kind_is_listed_as_what_it_is() {
    let root = tree(&["d/first", "other"]);
    let at = |name: &str| root.path().join(name);
    fs::hard_link(at("d/first"), at("d/second")).unwrap();
    fs::hard_link(at("d/first"), at("z")).unwrap();
    symlink("/nowhere/\u{fe}", at("link")).unwrap();
    mkfifoat(CWD, at("pipe"), Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();

    let listed = list(root.path());
    assert_eq!(listed.paths(), ["d", "d/first", "d/second", "link", "other", "z"]);
    let first = EntryPath::new("d/first").unwrap();
    assert_eq!(listed.item("d").kind, Kind::Dir);
    assert_eq!(listed.item("d/first").kind, Kind::File);
    assert_eq!(listed.item("d/second").kind, Kind::Hardlink { target: first.clone() });
    assert_eq!(listed.item("z").kind, Kind::Hardlink { target: first });
    assert_eq!(listed.item("link").kind, Kind::Symlink { target: "/nowhere/\u{fe}".into() });
    // A further name can be read as well: it may be the only one left when its turn comes.
    let has_bytes = |kind: &Kind| matches!(kind, Kind::File | Kind::Hardlink { .. });
    assert!(listed.items.iter().all(|item| item.content.is_some() == has_bytes(&item.kind)));
    assert_eq!(listed.item("d/first").size, 7);
    assert_eq!(listed.item("z").size, 7);
    let skipped: Vec<String> = listed.skipped.iter().map(|(path, why)| format!("{path}: {why}")).collect();
    assert_eq!(skipped, ["pipe: a named pipe is not backed up", "socket: a socket is not backed up"]);
}

#[test]
fn metadata_is_complete() {
    let root = tree(&["file"]);
    let file = root.path().join("file");
    rustix::fs::setxattr(&file, "user.b", b"\0\xff", rustix::fs::XattrFlags::CREATE).unwrap();
    rustix::fs::setxattr(&file, "user.a", b"", rustix::fs::XattrFlags::CREATE).unwrap();
    let time = std::time::UNIX_EPOCH - std::time::Duration::new(3, 1);
    File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o4751)).unwrap();

    let listed = list(root.path());
    let item = listed.item("file");
    assert_eq!(item.meta.mode, 0o4751);
    assert_eq!((item.meta.mtime.seconds, item.meta.mtime.nanos), (-4, 999_999_999));
    let attribute = |name: &str, value: &[u8]| Xattr { name: name.into(), value: value.into() };
    assert_eq!(item.meta.xattrs, [attribute("user.a", b""), attribute("user.b", b"\0\xff")]);
    let found = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap());
    assert_eq!(item.stamp.unwrap().inode, found);
}

#[test]
fn names_of_any_bytes_and_of_full_length_are_listed() {
    let root = tree(&[]);
    for name in [&b"\xff\xfe\n"[..], &[b'n'; 255]] {
        File::create(root.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    let names: Vec<Vec<u8>> = list(root.path()).items.iter().map(|item| item.path.as_bytes().to_vec()).collect();
    assert_eq!(names, [vec![b'n'; 255], b"\xff\xfe\n".to_vec()]);
}

#[test]
fn content_is_read_whole_or_from_a_place() {
    let root = tree(&["file", "empty"]);
    fs::write(root.path().join("empty"), "").unwrap();
    let listed = list(root.path());
    assert_eq!(read(listed.item("file"), 0), b"file");
    assert_eq!(read(listed.item("file"), 2), b"le");
    assert_eq!(read(listed.item("file"), 9), b"");
    assert_eq!(read(listed.item("empty"), 0), b"");
}

#[test]
fn holes_read_as_zeros() {
    let root = tree(&[]);
    let mut file = File::create(root.path().join("sparse")).unwrap();
    let size = 9 * 1024 * 1024 * 1024_u64;
    file.seek(SeekFrom::Start(1 << 20)).unwrap();
    file.write_all(&[7; 5000]).unwrap();
    file.set_len(size).unwrap();
    let listed = list(root.path());
    let item = listed.item("sparse");
    assert!(item.sparse);
    assert_eq!(item.size, size);

    let mut body = item.content.as_ref().unwrap().open(0).unwrap();
    let mut bytes = vec![1; (1 << 20) + 6000];
    body.read_exact(&mut bytes).unwrap();
    assert!(bytes[..1 << 20].iter().all(|&byte| byte == 0));
    assert!(bytes[1 << 20..(1 << 20) + 5000].iter().all(|&byte| byte == 7));
    assert!(bytes[(1 << 20) + 5000..].iter().all(|&byte| byte == 0));
    assert_eq!(read(item, size - 3), [0; 3]);
    assert!(!body.changed().unwrap());
}

#[test]
fn a_sparse_file_reads_like_any_other() {
    let root = tree(&[]);
    let path = root.path().join("sparse");
    let file = File::create(&path).unwrap();
    for (at, length) in [(0, 1), (9000, 9000), (100_000, 4096), (300_000, 17)] {
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xa5; length], at).unwrap();
    }
    file.set_len(1_000_001).unwrap();
    let listed = list(root.path());
    assert!(listed.item("sparse").sparse);
    let whole = fs::read(&path).unwrap();
    for from in [0, 1, 8999, 9000, 18_000, 99_999, 300_017, 1_000_000] {
        assert!(read(listed.item("sparse"), from) == whole[from as usize..], "from {from}");
    }
}

#[test]
fn a_change_while_reading_is_noticed() {
    for change in ["grow", "shrink", "rewrite", "none"] {
        let root = tree(&["file"]);
        let path = root.path().join("file");
        let listed = list(root.path());
        let mut body = listed.item("file").content.as_ref().unwrap().open(0).unwrap();
        match change {
            "grow" => File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap(),
            "shrink" => File::options().write(true).open(&path).unwrap().set_len(1).unwrap(),
            "rewrite" => std::os::unix::fs::FileExt::write_all_at(&File::options().write(true).open(&path).unwrap(), b"F", 0).unwrap(),
            _ => {}
        }
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).unwrap();
        assert_eq!(body.changed().unwrap(), change != "none", "{change}");
    }
}

#[test]
fn an_equal_stamp_means_equal_content_also_right_after_a_change() {
    let root = tree(&["file"]);
    let path = root.path().join("file");
    for round in 0..10_u8 {
        std::os::unix::fs::FileExt::write_all_at(&File::options().write(true).open(&path).unwrap(), &[round], 0).unwrap();
        let before = list(root.path()).stamps();
        assert!(before["file"].is_some());
        std::os::unix::fs::FileExt::write_all_at(&File::options().write(true).open(&path).unwrap(), &[round + 100], 0).unwrap();
        assert_ne!(before, list(root.path()).stamps());
    }
}

#[test]
fn what_took_a_files_place_is_not_read() {
    let root = tree(&["file", "d/file"]);
    let outside = tree(&["file"]);
    let path = root.path().join("file");
    let listed = list(root.path());

    fs::remove_file(&path).unwrap();
    assert_eq!(open_error(listed.item("file")).kind(), io::ErrorKind::NotFound);
    // The old file is kept alive elsewhere, so that its inode is not used again.
    let kept = list(root.path());
    fs::hard_link(root.path().join("d/file"), outside.path().join("kept")).unwrap();
    fs::remove_file(root.path().join("d/file")).unwrap();
    fs::write(root.path().join("d/file"), "another").unwrap();
    assert!(open_error(kept.item("d/file")).to_string().contains("another file"));
    fs::remove_file(root.path().join("d/file")).unwrap();
    mkfifoat(CWD, root.path().join("d/file"), Mode::RWXU).unwrap();
    assert!(open_error(kept.item("d/file")).to_string().contains("named pipe"));
    symlink(outside.path().join("kept"), &path).unwrap();
    open_error(listed.item("file"));
    // The very same file, but through a folder that became a link.
    fs::remove_dir_all(root.path().join("d")).unwrap();
    fs::rename(outside.path().join("kept"), outside.path().join("file")).unwrap();
    symlink(outside.path(), root.path().join("d")).unwrap();
    open_error(kept.item("d/file"));
}

#[test]
fn filters_leave_out_files_folders_caches_and_what_is_too_large() {
    let root = tree(&["a.tmp", "keep/b.tmp", "keep/c", "big", "cache/x", "cache/y/z", "fake/x", "vault/archives/1"]);
    fs::write(root.path().join("big"), [0; 1001]).unwrap();
    fs::write(root.path().join("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n# x").unwrap();
    fs::write(root.path().join("fake/CACHEDIR.TAG"), "Signature: none").unwrap();
    let vault = FolderSource::open(&root.path().join("vault"), FolderOptions::default()).unwrap().id();
    let options = FolderOptions {
        exclude_caches: true,
        exclude_larger_than: Some(1000),
        never: vec![vault],
        ..excluding(&["*.tmp", "!/keep/b.tmp"])
    };
    let listed = list_with(root.path(), options.clone());
    let expected = ["cache", "cache/CACHEDIR.TAG", "fake", "fake/CACHEDIR.TAG", "fake/x", "keep", "keep/b.tmp", "keep/c"];
    assert_eq!(listed.paths(), expected);
    assert!(FolderSource::open(&root.path().join("vault"), options).is_err());
}

/// The one mount point that every Linux has.
#[cfg(target_os = "linux")]
#[test]
fn a_mount_point_is_an_empty_folder_when_one_file_system_is_wanted() {
    let options = FolderOptions { one_file_system: true, ..excluding(&["/*", "!/proc"]) };
    let listed = list_with(Path::new("/"), options);
    assert_eq!(listed.paths(), ["proc"]);
}

/// No extended attributes there.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_without_attributes_is_listed() {
    let listed = list(Path::new("/proc/sys/kernel/random"));
    assert!(listed.paths().contains(&"boot_id".to_owned()));
    assert!(listed.skipped.is_empty());
}

#[test]
fn the_listing_ends_when_the_receiver_says_so() {
    let root = tree(&["a", "b/c", "d"]);
    let mut listed = Listed { stop_after: Some(2), ..Listed::default() };
    let ended = FolderSource::open(root.path(), FolderOptions::default()).unwrap().list(&mut listed);
    assert!(matches!(ended, Err(SourceError::Stopped(_))));
    assert_eq!(listed.paths(), ["a", "b"]);
}

#[test]
fn a_source_that_is_no_folder_is_an_error() {
    let root = tree(&["file"]);
    for name in ["file", "missing"] {
        let path = root.path().join(name);
        let error = FolderSource::open(&path, FolderOptions::default()).err().unwrap().to_string();
        assert_eq!(error, format!("cannot read {}", path.display()));
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_is_listed() {
    let root = tree(&["a", "closed/x", "half/x", "secret", "z"]);
    let mode = |name: &str, mode| fs::set_permissions(root.path().join(name), Permissions::from_mode(mode)).unwrap();
    mode("closed", 0o000);
    // May be listed, but nothing in it looked at.
    mode("half", 0o444);
    mode("secret", 0o000);
    as_nobody(root.path(), || {
        let listed = list_with(root.path(), FolderOptions::default());
        assert_eq!(listed.paths(), ["a", "closed", "half", "secret", "z"]);
        let problems: Vec<String> = listed.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.what)).collect();
        assert_eq!(
            problems,
            ["closed: cannot be opened: Permission denied (os error 13)", "half/x: cannot be looked at: Permission denied (os error 13)"]
        );
        assert_eq!(open_error(listed.item("secret")).kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(read(listed.item("a"), 0), b"a");
    });
    mode("closed", 0o700);
    mode("half", 0o700);
}

/// Makes `depth` folders inside each other, all called `name`, with a file at the bottom.
fn dig(root: &Path, name: &str, depth: usize) {
    let mut folder = open_dir(CWD, root);
    for _ in 0..depth {
        mkdirat(&folder, name, Mode::RWXU).unwrap();
        folder = open_dir(&folder, name);
    }
    let file = openat(&folder, "treasure", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
    File::from(file).write_all(b"gold").unwrap();
}

/// Removes them again; the standard library would need a descriptor for each.
fn fill_in(root: &Path, name: &str, depth: usize) {
    let mut folder = open_dir(CWD, root);
    for _ in 0..depth {
        folder = open_dir(&folder, name);
    }
    unlinkat(&folder, "treasure", AtFlags::empty()).unwrap();
    for _ in 0..depth {
        folder = open_dir(&folder, "..");
        unlinkat(&folder, name, AtFlags::REMOVEDIR).unwrap();
    }
}

fn open_dir(parent: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> OwnedFd {
    openat(parent, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

#[test]
fn depth_has_no_limit_but_that_of_a_path() {
    let root = tree(&["z"]);
    let depth = 2500;
    dig(root.path(), "d", depth);
    let listed = list(root.path());
    assert_eq!(listed.items.len(), depth + 2);
    let treasure = &listed.items[depth];
    assert_eq!(treasure.path.as_bytes().len(), 2 * depth + "treasure".len());
    assert_eq!(read(treasure, 0), b"gold");
    assert_eq!(listed.items.last().unwrap().path.as_bytes(), b"z");
    fill_in(root.path(), "d", depth);
}

#[test]
fn a_path_that_is_too_long_is_reported() {
    let root = tree(&["z"]);
    let name = "n".repeat(255);
    dig(root.path(), &name, 257);
    let listed = list_with(root.path(), FolderOptions::default());
    assert_eq!(listed.paths().last().unwrap(), "z");
    assert_eq!(listed.items.len(), 257);
    assert_eq!(listed.problems.len(), 1);
    assert_eq!(listed.problems[0].path, listed.items[255].path);
    fill_in(root.path(), &name, 257);
}

#[test]
fn a_folder_swapped_for_a_link_while_it_is_walked_leads_nowhere_else() {
    for depth in [1, 40] {
        let root = tree(&["z"]);
        let outside = tree(&["treasure", "z"]);
        dig(root.path(), "d", depth);
        let mut swapped = false;
        let mut listed = Listed {
            hook: Some(Box::new(|item| {
                if item.path.file_name() == b"treasure" {
                    fs::rename(root.path().join("d"), outside.path().join("moved")).unwrap();
                    symlink(outside.path(), root.path().join("d")).unwrap();
                    swapped = true;
                }
            })),
            ..Listed::default()
        };
        FolderSource::open(root.path(), FolderOptions::default()).unwrap().list(&mut listed).unwrap();
        assert_eq!(listed.paths().len(), depth + 2);
        assert_eq!(listed.paths().last().unwrap(), "z");
        open_error(&listed.items[depth]);
        drop(listed);
        assert!(swapped);
    }
}
