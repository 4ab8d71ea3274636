//! What is kept is kept: files with several names of which one goes, and files that cannot be read, whatever stood there before.

use std::io::{self, Cursor};
use std::sync::Arc;

use tgvault::model::entry::{EntryPath, Kind, Metadata, Stamp, Timestamp};
use tgvault::source::{Body, Content, Item, Sink, Source, SourceError, SourceName};

use crate::support::World;

/// What is at a path.
#[derive(Clone)]
enum Thing {
    Folder,
    File(&'static str),
    /// Another name of the file at a path, with what it reads as by this one.
    Link(&'static str, &'static str),
    /// Listed, and gone when it is opened.
    Vanishes,
    /// A further name that is gone when it is opened.
    LinkVanishes(&'static str),
}

struct Scene(Vec<(&'static str, Thing)>);

struct Bytes(&'static str);

impl Content for Bytes {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        struct Reading(Cursor<&'static [u8]>);
        impl io::Read for Reading {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Body for Reading {}
        let mut at = Cursor::new(self.0.as_bytes());
        at.set_position(from);
        Ok(Box::new(Reading(at)))
    }
}

struct Gone;

impl Content for Gone {
    fn open(&self, _: u64) -> io::Result<Box<dyn Body>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Source for Scene {
    fn name(&self) -> SourceName {
        SourceName { kind: "folder".into(), name: "/scene".into() }
    }

    fn lists_everything(&self) -> bool {
        true
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        for (number, (path, thing)) in self.0.iter().enumerate() {
            let path = EntryPath::new(*path).unwrap();
            let link = |to: &str| Kind::Hardlink { target: EntryPath::new(to).unwrap() };
            let (kind, content, size): (Kind, Option<Arc<dyn Content>>, usize) = match thing {
                Folder => (Kind::Dir, None, 0),
                File(text) => (Kind::File, Some(Arc::new(Bytes(text))), text.len()),
                Link(to, text) => (link(to), Some(Arc::new(Bytes(text))), text.len()),
                Vanishes => (Kind::File, Some(Arc::new(Gone)), 4),
                LinkVanishes(to) => (link(to), Some(Arc::new(Gone)), 4),
            };
            let meta = Metadata { mode: 0o644, mtime: Timestamp { seconds: 5, nanos: 0 }, ..Metadata::default() };
            let stamp = Some(Stamp { ctime: Timestamp { seconds: 1 + number as i64, nanos: 0 }, inode: 1 });
            sink.item(Item { path, kind, meta, size: size as u64, sparse: false, stamp, content, mark: 0 })?;
        }
        Ok(())
    }
}

/// Backs the scenes up one after the other; gives the problems of the last and what a restore then has.
async fn after(scenes: &[&[(&'static str, Thing)]]) -> (u64, Vec<(String, String)>) {
    let world = World::in_memory().await;
    let mut problems = 0;
    for scene in scenes {
        let session = world.session(&world.storage, None);
        let (summary, _) = world.backup_in(&session, Arc::new(Scene(scene.to_vec()))).await.unwrap();
        problems = summary.counts.problems;
        let files = world.restored().await.len() as u64;
        assert_eq!(summary.counts.entries, files, "{:?}", summary.counts);
    }
    let to = tempfile::tempdir_in(world.root.path()).unwrap();
    world.restore_from(&world.storage, to.path(), Arc::default()).await.unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for name in world.restored().await.into_keys() {
        let path = to.path().join(&name);
        if path.is_file() {
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    (problems, found)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

use Thing::{File, Folder, Link, LinkVanishes, Vanishes};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_stored_by_another_name_when_its_first_one_goes() {
    let before: &[_] = &[("m", File("precious"))];
    let (problems, found) = after(&[before, &[(".m.bak", Vanishes), ("m", Link(".m.bak", "precious"))]]).await;
    assert_eq!((problems, found), (1, pairs(&[("m", "precious")])));
    // Also what is new, and when the second goes as well.
    let names: &[_] = &[("a", Vanishes), ("b", LinkVanishes("a")), ("c", Link("a", "text")), ("d", Link("a", "text"))];
    assert_eq!(after(&[names]).await, (2, pairs(&[("c", "text"), ("d", "text")])));
    // The names were one file before; what is kept of the first does not hide what the second reads as.
    let one: &[_] = &[("a", File("old")), ("b", Link("a", "old"))];
    assert_eq!(after(&[one, &[("a", Vanishes), ("b", Link("a", "newer"))]]).await, (1, pairs(&[("a", "old"), ("b", "newer")])));
    // Nobody can read it: everything stays as it was.
    assert_eq!(after(&[one, &[("a", Vanishes), ("b", LinkVanishes("a"))]]).await, (2, pairs(&[("a", "old"), ("b", "old")])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_kept_keeps_its_content_when_the_first_name_goes_its_own_way() {
    let one: &[_] = &[("a", File("old")), ("b", Link("a", "old")), ("c", Link("a", "old"))];
    assert_eq!(after(&[one, &[("a", File("another")), ("b", Vanishes)]]).await, (1, pairs(&[("a", "another"), ("b", "old")])));
    assert_eq!(after(&[one, &[("b", Vanishes), ("c", LinkVanishes("b"))]]).await, (2, pairs(&[("b", "old"), ("c", "old")])));
    let linked: &[_] = &[("0", File("zero")), ("a", Link("0", "zero")), ("b", Vanishes)];
    assert_eq!(after(&[one, linked]).await, (1, pairs(&[("0", "zero"), ("a", "zero"), ("b", "old")])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stood_there_stays_until_there_is_something_in_its_place() {
    let folder: &[_] = &[("x", Folder), ("x/y", File("inside"))];
    assert_eq!(after(&[folder, &[("x", Vanishes)]]).await, (1, pairs(&[("x/y", "inside")])));
    assert_eq!(after(&[folder, &[("x", File("file"))]]).await, (0, pairs(&[("x", "file")])));
    // Known content under a name where something of another kind stood.
    let both: &[_] = &[("k", File("known, and long enough")), ("x", Folder), ("x/y", File("inside"))];
    let known: &[_] = &[("k", File("known, and long enough")), ("x", File("known, and long enough"))];
    assert_eq!(after(&[both, known]).await, (0, pairs(&[("k", "known, and long enough"), ("x", "known, and long enough")])));
    assert_eq!(after(&[&[("x", Vanishes)]]).await, (1, pairs(&[])));
}
