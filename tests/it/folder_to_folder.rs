//! A folder listed and made again elsewhere is the same folder, whatever is in it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use tgvault::model::entry::{EntryPath, Kind, Metadata};
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::source::{Item, Problem, Sink, Source, Stopped};
use tgvault::target::{Overwrite, TargetFolder, TargetOptions};

/// What is put into a folder.
#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    /// Bytes at these offsets, and a length.
    Sparse(Vec<u32>, u32),
    Large(u32),
    Dir,
    Symlink(Vec<u8>),
    Hardlink(prop::sample::Index),
}

#[derive(Clone, Debug)]
struct Planned {
    parent: prop::sample::Index,
    name: Vec<u8>,
    node: Node,
    mode: u32,
    time: (i32, u32),
    xattr: Option<Vec<u8>>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>().prop_filter("a name", |byte| !matches!(byte, 0 | b'/')), 1..20);
    let fixed = prop::sample::select(vec![vec![b'n'; 255], b"line\nbreak".to_vec(), b" ".to_vec(), b"-rf".to_vec(), b"*".to_vec()]);
    prop_oneof![bytes, fixed].prop_filter("not a way up", |name| name != b"." && name != b"..")
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..5000).prop_map(Node::File),
        1 => (prop::collection::vec(0..2_000_000_u32, 0..4), 4096..2_000_000_u32).prop_map(|(at, length)| Node::Sparse(at, length)),
        1 => (200_000..1_500_000_u32).prop_map(Node::Large),
        4 => Just(Node::Dir),
        2 => prop::collection::vec(1..=255_u8, 1..100).prop_map(Node::Symlink),
        2 => any::<prop::sample::Index>().prop_map(Node::Hardlink),
    ]
}

fn planned() -> impl Strategy<Value = Planned> {
    let xattr = prop::option::of(prop::collection::vec(any::<u8>(), 0..100));
    (any::<prop::sample::Index>(), name(), node(), 0..0o10000_u32, (any::<i32>(), 0..1_000_000_000_u32), xattr)
        .prop_map(|(parent, name, node, mode, time, xattr)| Planned { parent, name, node, mode, time, xattr })
}

/// Makes the tree below `root`.
fn plant(root: &Path, plan: &[Planned]) {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    let mut dressed = Vec::new();
    for planned in plan {
        let path = planned.parent.get(&folders).join(OsStr::from_bytes(&planned.name));
        if path.symlink_metadata().is_ok() || path.as_os_str().len() > 3000 {
            continue;
        }
        match &planned.node {
            Node::File(content) => fs::write(&path, content).unwrap(),
            Node::Sparse(places, length) => {
                let file = File::create(&path).unwrap();
                for &at in places {
                    file.write_all_at(&[1], u64::from(at)).unwrap();
                }
                file.set_len(u64::from(*length)).unwrap();
            }
            Node::Large(length) => fs::write(&path, (0..*length).map(|at| (at >> 8) as u8).collect::<Vec<u8>>()).unwrap(),
            Node::Dir => fs::create_dir(&path).unwrap(),
            Node::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Node::Hardlink(first) => {
                if !files.is_empty() {
                    fs::hard_link(first.get(&files), &path).unwrap();
                }
            }
        }
        match &planned.node {
            Node::File(_) | Node::Sparse(..) | Node::Large(_) => {
                files.push(path.clone());
                dressed.push((path, planned, 0o400));
            }
            Node::Dir => {
                folders.push(path.clone());
                dressed.push((path, planned, 0o700));
            }
            Node::Symlink(_) | Node::Hardlink(_) => {}
        }
    }
    for (path, planned, least) in dressed.iter().rev() {
        if let Some(value) = &planned.xattr {
            // The least mode lets the tests' own user read the tree.
            fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
            rustix::fs::setxattr(path, "user.test", value, rustix::fs::XattrFlags::empty()).unwrap();
        }
        fs::set_permissions(path, Permissions::from_mode(planned.mode | least)).unwrap();
        let (seconds, nanos) = planned.time;
        let whole = Duration::from_secs(u64::from(seconds.unsigned_abs()));
        let whole = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        File::open(path).unwrap().set_modified(whole + Duration::new(0, nanos)).unwrap();
    }
}

#[derive(Default)]
struct Listing(Vec<Item>);

impl Sink for Listing {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        self.0.push(item);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        panic!("{problem:?}");
    }

    fn skipped(&mut self, path: &EntryPath, why: &str) {
        panic!("{path}: {why}");
    }
}

fn list(root: &Path) -> Vec<Item> {
    let mut listing = Listing::default();
    FolderSource::open(root, FolderOptions::default()).unwrap().list(&mut listing).unwrap();
    listing.0
}

fn content(item: &Item) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    item.content.as_ref()?.open(0).unwrap().read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// All that must be the same on both sides.
type Compared = (Kind, Metadata, u64, Option<Vec<u8>>);

fn compared(root: &Path) -> HashMap<EntryPath, Compared> {
    list(root).into_iter().map(|item| (item.path.clone(), (item.kind.clone(), item.meta.clone(), item.size, content(&item)))).collect()
}

fn restore(items: &[Item], root: &Path, overwrite: Overwrite) {
    let target = TargetFolder::open(root, overwrite, TargetOptions::default()).unwrap();
    for item in items {
        match &item.kind {
            Kind::Dir => target.dir(&item.path, &item.meta).unwrap(),
            Kind::Symlink { target: to } => target.symlink(&item.path, to, &item.meta).unwrap(),
            Kind::Hardlink { target: first } => target.hardlink(&item.path, first).unwrap(),
            Kind::File => {
                let mut file = target.file(&item.path, &item.meta, item.size, item.sparse).unwrap();
                file.write_all(&content(item).unwrap()).unwrap();
                file.commit().unwrap();
            }
        }
    }
    let restored = target.finish().unwrap();
    assert!(restored.failures.is_empty(), "{:?}", restored.failures);
    assert_eq!((restored.owners_refused, restored.xattrs_refused), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_tree_comes_out(plan in prop::collection::vec(planned(), 0..40)) {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::create_dir(&from).unwrap();
        plant(&from, &plan);
        let items = list(&from);
        let wanted = compared(&from);
        prop_assert_eq!(items.len(), wanted.len());

        restore(&items, &to, Overwrite::Never);
        prop_assert!(compared(&to) == wanted, "{:?}\n{:?}", list(&to).iter().map(|item| &item.path).collect::<Vec<_>>(), plan);
        // Once more over what is there now, and nothing is left over.
        restore(&items, &to, Overwrite::Always);
        prop_assert!(compared(&to) == wanted);
        // Holes stay holes.
        for item in items.iter().filter(|item| item.sparse) {
            let blocks = |root: &Path| {
                let path = root.join(OsStr::from_bytes(item.path.as_bytes()));
                std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap())
            };
            prop_assert!(blocks(&to) <= blocks(&from));
        }
    }
}
