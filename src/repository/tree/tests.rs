use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::archive::index::{Located, Part};
use crate::model::digest::Digest;
use crate::model::entry::{Metadata, Stamp, Timestamp, Xattr};

fn record(number: u8) -> ArchiveRecord {
    ArchiveRecord {
        id: Id([number; 16]),
        object: String::new(),
        length: 1,
        sha256: Digest([0; 32]),
        header_sha256: Digest([0; 32]),
        merged: false,
        own: None,
    }
}

fn entry(path: &str, kind: Kind, part: Option<Part>) -> IndexEntry {
    let content = (kind == Kind::File).then(|| Located {
        sha256: Digest([part.map_or(0, |part| part.n as u8); 32]),
        archive: None,
        frame: 0,
        offset: 0,
        length: 1,
        short: false,
        part,
    });
    let size = part.map_or(u64::from(kind == Kind::File), |part| u64::from(part.of));
    IndexEntry { path: EntryPath::new(path).unwrap(), kind, meta: Metadata::default(), stamp: None, size, sparse: false, content }
}

fn overlay(entries: Vec<IndexEntry>) -> Overlay {
    let mut overlay = Overlay::new();
    overlay.add_archive(record(1));
    for entry in entries {
        overlay.apply(entry, Id([1; 16])).unwrap();
    }
    overlay
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn an_entry_replaces_what_cannot_stand_beside_it() {
    let file_to_folder = overlay(vec![entry("a", Kind::File, None), entry("a/b", Kind::File, None)]).finish();
    assert_eq!(paths(&file_to_folder), ["a/b"]);
    let folder_to_file =
        vec![entry("a", Kind::Dir, None), entry("a/b", Kind::File, None), entry("a-b", Kind::File, None), entry("a", Kind::File, None)];
    let folder_to_file = overlay(folder_to_file).finish();
    assert_eq!(paths(&folder_to_file), ["a", "a-b"]);
    let mut removed = Overlay::on(folder_to_file);
    removed.remove(&EntryPath::new("a").unwrap());
    assert_eq!(paths(&removed.finish()), ["a-b"]);
}

#[test]
fn parts_of_one_version_come_together_and_another_version_starts_anew() {
    let part = |n, file: u8| Some(Part { n, of: 2, file: Id([file; 16]) });
    let big = EntryPath::new("big").unwrap();
    let mut tree = overlay(vec![entry("big", Kind::File, part(1, 1))]).finish();
    assert_eq!(tree.get(&big).unwrap().places(), None);
    for (n, file, stored) in [(2, 1, Some(2)), (2, 7, None)] {
        let mut next = Overlay::on(tree);
        next.apply(entry("big", Kind::File, part(n, file)), Id([1; 16])).unwrap();
        tree = next.finish();
        assert_eq!(tree.get(&big).unwrap().places().map(|places| places.len()), stored);
    }
}

#[test]
fn an_entry_of_an_unknown_archive_is_refused() {
    assert!(Overlay::new().apply(entry("a", Kind::File, None), Id([1; 16])).is_err());
}

#[test]
fn what_a_lost_index_may_have_changed_is_unproven_until_something_speaks_of_it() {
    let mut overlay = overlay(vec![entry("a", Kind::File, None), entry("b", Kind::File, None), entry("c", Kind::File, None)]);
    let unproven = |tree: &Tree| {
        let is = |path: &&str| tree.is_unproven(&EntryPath::new(*path).unwrap());
        ["a", "b", "c", "d"].into_iter().filter(is).collect::<String>()
    };
    overlay.note_lost(record(2));
    overlay.apply(entry("b", Kind::File, None), Id([1; 16])).unwrap();
    overlay.apply(entry("d", Kind::Hardlink { target: EntryPath::new("a").unwrap() }, None), Id([1; 16])).unwrap();
    overlay.apply(entry("a", Kind::File, None), Id([1; 16])).unwrap();
    overlay.note_lost(record(3));
    overlay.apply(entry("c", Kind::File, None), Id([1; 16])).unwrap();
    let tree = overlay.finish();
    assert_eq!(unproven(&tree), "abd");
    assert_eq!(tree.losses().lost.len(), 2);
    let mut overlay = Overlay::on(tree);
    overlay.apply(entry("a", Kind::File, None), Id([1; 16])).unwrap();
    overlay.apply(entry("d", Kind::Hardlink { target: EntryPath::new("b").unwrap() }, None), Id([1; 16])).unwrap();
    assert_eq!(unproven(&overlay.finish()), "bd", "a link is as good as its file");
}

/// What people back up: 100,000 photos with names, times and inodes of their own.
#[test]
fn an_entry_takes_at_most_100_bytes() {
    let mut overlay = Overlay::new();
    overlay.add_archive(record(1));
    let count = 100_000;
    for number in 0..count {
        let scattered: u64 = u64::wrapping_mul(number, 0x9e37_79b9_7f4a_7c15);
        let mut photo = entry(&format!("pictures/{:04}/IMG_{number:08}.jpg", number / 1000), Kind::File, None);
        let time = Timestamp { seconds: 1_600_000_000 + (scattered % 50_000_000) as i64, nanos: (scattered % 1_000_000_000) as u32 };
        photo.meta.mtime = time;
        photo.stamp = Some(Stamp { ctime: Timestamp { seconds: 1_700_000_000, nanos: time.nanos / 2 }, inode: 5_000_000 + number });
        photo.size = 2_000_000 + scattered % 3_000_000;
        if let Some(content) = &mut photo.content {
            (content.length, content.frame, content.offset) = (photo.size, number as u32 % 128, number % 100 * 2_500_000);
        }
        overlay.apply(photo, Id([1; 16])).unwrap();
    }
    let tree = overlay.finish();
    assert_eq!(tree.len() as u64, count);
    let each = tree.packed.bytes() as u64 / count;
    assert!(each <= 100, "{each} bytes");
}

/// What a state is made of, in few words.
#[derive(Clone, Debug)]
enum Step {
    Apply(Box<IndexEntry>),
    Remove(EntryPath),
    Pack,
}

fn path() -> impl Strategy<Value = EntryPath> {
    let name = prop_oneof!["[ab]", "[ab]-", "a0", "\u{1}"];
    proptest::collection::vec(name, 1..4).prop_map(|names| EntryPath::new(names.join("/")).unwrap())
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(Kind::File),
        2 => Just(Kind::Dir),
        1 => proptest::collection::vec(any::<u8>(), 0..4).prop_map(|target| Kind::Symlink { target }),
        1 => path().prop_map(|target| Kind::Hardlink { target }),
    ];
    let numbers = (any::<i64>(), 0..1_000_000_000u32, any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>());
    let apply = (path(), kind, numbers, any::<[bool; 4]>(), any::<u8>()).prop_map(|(path, kind, numbers, flags, byte)| {
        let (seconds, nanos, inode, frame, offset, length) = numbers;
        let [has_stamp, sparse, short, is_whole] = flags;
        let xattrs = if byte < 32 { vec![Xattr { name: vec![byte], value: vec![1, 2] }] } else { Vec::new() };
        let located = Located { sha256: Digest([byte; 32]), archive: None, frame, offset, length, short, part: None };
        Step::Apply(Box::new(IndexEntry {
            path,
            meta: Metadata { mode: u32::from(byte), uid: frame, gid: 0, mtime: Timestamp { seconds, nanos }, xattrs },
            stamp: has_stamp.then_some(Stamp { ctime: Timestamp { seconds: seconds.wrapping_add(9), nanos }, inode }),
            size: if is_whole { length } else { offset },
            sparse,
            content: (kind == Kind::File).then_some(located),
            kind,
        }))
    });
    prop_oneof![12 => apply, 2 => path().prop_map(Step::Remove), 1 => Just(Step::Pack)]
}

/// The rule itself, without any care for memory.
fn lay(state: &mut BTreeMap<EntryPath, IndexEntry>, step: Step) {
    match step {
        Step::Pack => {}
        Step::Remove(path) => state.retain(|other, _| !other.is_at_or_below(&path)),
        Step::Apply(entry) => {
            let mut above = entry.path.parent();
            while let Some(path) = above {
                match state.get(&path) {
                    // Above a folder there are folders.
                    Some(entry) if entry.kind == Kind::Dir => break,
                    _ => state.remove(&path),
                };
                above = path.parent();
            }
            if entry.kind != Kind::Dir && state.get(&entry.path).is_some_and(|old| old.kind == Kind::Dir) {
                state.retain(|path, _| !path.is_below(&entry.path));
            }
            state.insert(entry.path.clone(), *entry);
        }
    }
}

proptest! {
    #[test]
    fn a_packed_state_is_what_the_rule_says(steps in proptest::collection::vec(step(), 0..200)) {
        let (mut overlay, mut state) = (Overlay::new(), BTreeMap::new());
        overlay.add_archive(record(1));
        for step in steps {
            match step.clone() {
                Step::Pack => overlay = Overlay::on(overlay.finish()),
                Step::Remove(path) => overlay.remove(&path),
                Step::Apply(entry) => overlay.apply(*entry, Id([1; 16])).unwrap(),
            }
            lay(&mut state, step);
        }
        let tree = overlay.finish();
        let in_archive = |mut entry: IndexEntry| {
            if let Some(content) = &mut entry.content {
                content.archive = Some(Id([1; 16]));
            }
            entry
        };
        let expected: Vec<IndexEntry> = state.into_values().map(in_archive).collect();
        let found: Vec<IndexEntry> = tree.iter().flat_map(|(path, entry)| tree.index_entries(&path, &entry)).collect();
        prop_assert_eq!(&found, &expected);
        for (number, entry) in (0..).zip(&expected) {
            let (at, found) = tree.find(&entry.path).unwrap();
            prop_assert_eq!((at, &found.kind), (number, &entry.kind));
            prop_assert_eq!(&tree.at(number).unwrap().0, &entry.path);
            let below: Vec<EntryPath> = expected.iter().map(|other| other.path.clone()).filter(|path| path.is_below(&entry.path)).collect();
            prop_assert_eq!(tree.below(&entry.path).map(|(path, _)| path).collect::<Vec<_>>(), below);
        }
        prop_assert!(tree.at(expected.len() as u32).is_none());
    }

    #[test]
    fn lines_come_back_in_their_order(steps in proptest::collection::vec(step(), 0..100)) {
        let entries: Vec<IndexEntry> =
            steps.into_iter().filter_map(|step| if let Step::Apply(entry) = step { Some(*entry) } else { None }).collect();
        let lines: Lines = entries.iter().cloned().collect();
        prop_assert_eq!(&lines.iter().collect::<Vec<_>>(), &entries);
        let mut drained = Vec::new();
        lines.drain(|entry| { drained.push(entry); Ok::<(), ()>(()) }).unwrap();
        prop_assert_eq!(&drained, &entries);
    }
}
