//! Any tree in, the same tree out, through any changes between runs.

use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tgvault::Vault;
use tgvault::model::entry::EntryPath;
use tgvault::model::filter::PathFilter;
use tgvault::operations::restore::RestoreOptions;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::source::folder::FolderSource;

use crate::support::{Log, World, noise, tempdir, tree, wrong};

/// Names that break what is not careful.
const NAMES: [&[u8]; 12] =
    [b"a", b"b", b"c", b"a-b", b"a.b", b"\xff\xfe", b"new\nline", b" ", b"-rf", b"\xc3\xa9", b"back\\slash", b"%41\x01"];

/// Sizes around the borders of blocks, chunks, frames and of what is held in memory.
const SIZES: [usize; 16] =
    [0, 1, 511, 512, 513, 4_095, 4_097, 65_535, 65_536, 65_537, 262_145, 524_287, 524_288, 524_289, 2_097_152, 2_097_153];

/// A change of the tree, between two paths chosen from [`NAMES`].
#[derive(Clone, Debug)]
enum Change {
    Write { size: usize, seed: u64, words: bool },
    Sparse { size: u64 },
    Folder,
    Symlink,
    Hardlink,
    Mode(u32),
    Touch(i64, u32),
    Attribute(u8),
    Delete,
    Rename,
    Swap,
}

fn change() -> impl Strategy<Value = Change> {
    let size = prop_oneof![8 => prop::sample::select(&SIZES[..11]), 2 => prop::sample::select(&SIZES[11..])];
    prop_oneof![
        6 => (size, 0..6_u64, any::<bool>()).prop_map(|(size, seed, words)| Change::Write { size, seed, words }),
        1 => (0..3_000_000_u64).prop_map(|size| Change::Sparse { size }),
        4 => Just(Change::Folder),
        2 => Just(Change::Symlink),
        2 => Just(Change::Hardlink),
        2 => (0..0o7777_u32).prop_map(Change::Mode),
        2 => (-4_000_000_000..4_000_000_000_i64, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Change::Touch(seconds, nanos)),
        1 => any::<u8>().prop_map(Change::Attribute),
        2 => Just(Change::Delete),
        3 => Just(Change::Rename),
        1 => Just(Change::Swap),
    ]
}

/// One to three components.
fn place() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4)
        .prop_map(|names| names.into_iter().map(OsStr::from_bytes).collect::<PathBuf>())
}

fn remove(path: &Path) {
    let _ = if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// Makes a change as far as the tree allows it: what does not fit is left out, as it would be by hand.
fn apply(root: &Path, change: &Change, at: &Path, other: &Path) {
    let (path, other_path) = (root.join(at), root.join(other));
    let is_real_parent = |path: &Path| {
        let mut parent = path.parent().unwrap();
        while parent.starts_with(root) && parent != root {
            if parent.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
                return false;
            }
            parent = parent.parent().unwrap();
        }
        true
    };
    if !is_real_parent(&path) || !is_real_parent(&other_path) {
        return;
    }
    let make_parent = || fs::create_dir_all(path.parent().unwrap()).unwrap();
    let found = path.symlink_metadata().ok();
    match change {
        Change::Write { size, seed, words } => {
            make_parent();
            remove(&path);
            let content = if *words { b"words, words, words. ".iter().copied().cycle().take(*size).collect() } else { noise(*seed, *size) };
            fs::write(&path, content).unwrap();
        }
        Change::Sparse { size } => {
            make_parent();
            remove(&path);
            let mut file = fs::File::create(&path).unwrap();
            file.set_len(*size).unwrap();
            file.seek(SeekFrom::Start(size / 2)).unwrap();
            file.write_all(&noise(7, 100.min(*size as usize / 2))).unwrap();
        }
        Change::Folder => {
            if found.is_some_and(|meta| !meta.is_dir()) {
                remove(&path);
            }
            fs::create_dir_all(&path).unwrap();
        }
        Change::Symlink => {
            make_parent();
            remove(&path);
            symlink(other, &path).unwrap();
        }
        Change::Hardlink => {
            if other_path.symlink_metadata().is_ok_and(|meta| meta.is_file()) && path != other_path {
                make_parent();
                remove(&path);
                let _ = fs::hard_link(&other_path, &path);
            }
        }
        Change::Mode(mode) => match found {
            Some(meta) if meta.is_dir() => fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o700)).unwrap(),
            Some(meta) if meta.is_file() => fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o600)).unwrap(),
            _ => {}
        },
        Change::Touch(seconds, nanos) => {
            let time = rustix::fs::Timespec { tv_sec: *seconds, tv_nsec: i64::from(*nanos) };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let _ = rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        }
        Change::Attribute(value) => {
            // Where the file system of the test has none, the folder source's own tests have shown them on one that does.
            let _ = rustix::fs::lsetxattr(&path, "user.test", &[*value, 0, b'\n'], rustix::fs::XattrFlags::empty());
        }
        Change::Delete => remove(&path),
        Change::Rename => {
            if other_path.symlink_metadata().is_ok() && !path.starts_with(&other_path) && !other_path.starts_with(&path) {
                make_parent();
                remove(&path);
                let _ = fs::rename(&other_path, &path);
            }
        }
        Change::Swap => {
            let aside = root.join("aside");
            if found.is_some()
                && other_path.symlink_metadata().is_ok()
                && !path.starts_with(&other_path)
                && !other_path.starts_with(&path)
                && fs::rename(&path, &aside).is_ok()
            {
                fs::rename(&other_path, &path).unwrap();
                fs::rename(&aside, &other_path).unwrap();
            }
        }
    }
}

/// The part of a tree at and below a path, and the folders that lead to it.
fn part(all: &std::collections::BTreeMap<String, String>, top: &str) -> Vec<(String, String)> {
    let below = |name: &String| name == top || name.starts_with(&format!("{top}/")) || top.starts_with(&format!("{name}/"));
    // How many names a file has depends on which of them are there.
    let said = |said: &str| said.split(" links ").next().unwrap_or_default().to_owned();
    all.iter().filter(|(name, _)| below(name)).map(|(name, text)| (name.clone(), said(text))).collect()
}

async fn check(world: &World, restoring: &tgvault::operations::session::Session) {
    let wanted = tree(&world.source());
    let to = tempdir();
    let log = Arc::new(Log::default());
    let summary = world.restore_in(restoring, to.path(), &[], Arc::clone(&log)).await.unwrap();
    assert_eq!((summary.problems, summary.damaged), (0, 0), "{:?}", log.0.lock().unwrap());
    assert_eq!(tree(to.path()), wanted);
}

async fn play(batches: &[Vec<(Change, PathBuf, PathBuf)>]) {
    let world = World::in_memory().await;
    let source = world.source();
    let seeing = world.session(&world.storage, Some(world.unlock()));
    for (number, batch) in batches.iter().enumerate() {
        for (change, at, other) in batch {
            apply(&source, change, at, other);
        }
        if number == 2 {
            // As after the loss of this machine's state: it is made anew from the repository.
            world.forget_chains();
            let folder = FolderSource::open(&source, Default::default()).unwrap();
            let (summary, said) = world.backup_in(&seeing, Arc::new(folder)).await.unwrap();
            assert_eq!(summary.counts.problems, 0, "{said:?}");
        } else {
            assert_eq!(world.backup().await.counts.problems, 0);
        }
        let newcomer = world.newcomer(&world.storage, Some(world.unlock()));
        check(&world, if number % 2 == 0 { &seeing } else { &newcomer }).await;
    }
    // Nothing changed: nothing is stored.
    let before = world.objects().await.keys().filter(|name| name.starts_with("archives/")).count();
    let again = world.backup().await;
    assert_eq!((again.counts.new_entries, again.counts.stored_bytes), (0, 0));
    assert_eq!(world.objects().await.keys().filter(|name| name.starts_with("archives/")).count(), before);
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost, report.unnamed_archives), (vec![], vec![], 0));

    // A part by its path, and by a pattern.
    let seeing = Vault::from(seeing);
    let wanted = tree(&source);
    for name in NAMES.iter().filter(|name| source.join(OsStr::from_bytes(name)).symlink_metadata().is_ok()) {
        let to = tempdir();
        let only = |options: &mut RestoreOptions| options.paths = vec![EntryPath::new(*name).unwrap()];
        let summary = seeing.restore(SnapshotChoice::latest(), to.path()).with(only).await.unwrap();
        assert_eq!(summary.problems, 0);
        let top = name.escape_ascii().to_string();
        assert_eq!(part(&tree(to.path()), &top), part(&wanted, &top));
    }
    let to = tempdir();
    let filter = PathFilter::new(["/a"], ["b"]).unwrap();
    seeing.restore(SnapshotChoice::latest(), to.path()).with(|options| options.filter = filter).await.unwrap();
    let taken = |name: &String| (name == "a" || name.starts_with("a/")) && !name.split('/').any(|part| part == "b");
    let names: Vec<String> = wanted.keys().filter(|name| taken(name)).cloned().collect();
    assert_eq!(tree(to.path()).into_keys().collect::<Vec<_>>(), names);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_tree_through_any_changes_comes_back(
        batches in prop::collection::vec(prop::collection::vec((change(), place(), place()), 1..14), 4)
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(&batches));
    }
}
