//! Repositories made by a writer who is accepted and means harm: refused with a clear error, never followed.

use std::fs;
use std::sync::Arc;

use tgvault::archive::index::{IndexEntry, Located, Part};
use tgvault::model::digest::Id;
use tgvault::model::entry::Kind;
use tgvault::operations::OperationError;
use tgvault::operations::restore::RestoreSummary;
use tgvault::repository::Machine;

use crate::forge::{self, Forged, NOBODYS, file_entry, honest, plain_entry};
use crate::support::{Log, World, noise, tempdir, tree, wrong};

/// What became of a hostile snapshot: the restore's outcome, what it wrote, what verify says.
struct Outcome {
    restore: Result<RestoreSummary, OperationError>,
    said: Vec<String>,
    restored: Vec<String>,
    wrong: Vec<String>,
}

impl Outcome {
    /// Nothing of it passed for sound, and nothing was written outside the target.
    fn assert_refused(&self, what: &str) {
        match &self.restore {
            Ok(summary) => assert!(summary.damaged + summary.problems > 0, "{what}: restored as if sound; {:?}", self.restored),
            Err(OperationError::Repository(error)) => assert!(error.is_integrity(), "{what}: {error:?}"),
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
}

/// Commits a forged archive and restores it into a folder beside a file that must not change.
async fn outcome(forged: Forged) -> Outcome {
    outcome_of(|id, recipients| vec![forged.seal(id, recipients)]).await
}

async fn outcome_of(
    seal: impl FnOnce(Id, &tgvault::crypt::keys::Recipients) -> Vec<(Vec<u8>, tgvault::archive::writer::Sealed)>,
) -> Outcome {
    let world = World::in_memory().await;
    let opened = world.session(&world.storage, None).open().await.unwrap();
    let archives = seal(Machine::default().id().unwrap(), &forge::recipients(&opened));
    forge::commit(&world, &archives).await;
    let outside = tempdir();
    fs::write(outside.path().join("precious"), b"mine").unwrap();
    fs::create_dir(outside.path().join("to")).unwrap();
    let to = outside.path().join("to");
    let log = Arc::new(Log::default());
    let restore = world.restore_from(&world.storage, &to, Arc::clone(&log)).await;
    let all: Vec<String> = tree(outside.path()).into_keys().collect();
    let strange: Vec<&String> =
        all.iter().filter(|name| !["precious", "to"].contains(&name.as_str()) && !name.starts_with("to/")).collect();
    assert_eq!(strange, Vec::<&String>::new(), "written outside the target");
    assert_eq!(fs::read(outside.path().join("precious")).unwrap(), b"mine");
    let restored = tree(&to).into_iter().map(|(name, said)| format!("{name}: {said}")).collect();
    let report = world.verify(true).await;
    let said = log.0.lock().unwrap().clone();
    Outcome { restore, said, restored, wrong: wrong(&report) }
}

fn sound_file(forged: &mut Forged, name: &str, content: &[u8]) {
    let located = forged.file(name.as_bytes(), content);
    forged.line(&file_entry(name, content.len() as u64, located));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_forgery_is_read_so_that_the_others_fail_for_their_own_reasons() {
    let mut forged = Forged::default();
    sound_file(&mut forged, "a", b"content");
    let outcome = outcome(forged).await;
    let summary = outcome.restore.unwrap();
    assert_eq!((summary.problems, summary.damaged, summary.entries), (0, 0, 1), "{:?}", outcome.said);
    assert_eq!(outcome.wrong, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_lead_elsewhere_are_refused() {
    for name in ["/etc/tgvault-test", "../precious", "a/../../precious", "a//b", ".", "a/."] {
        let mut forged = Forged::default();
        let located = forged.file(b"a", b"evil");
        let mut line = Vec::new();
        file_entry("NAME", 4, located).write_line(&mut line).unwrap();
        forged.raw_line(String::from_utf8(line).unwrap().trim_end().replace("NAME", name).as_str());
        let outcome = outcome(forged).await;
        outcome.assert_refused(name);
        assert_eq!(outcome.restored, Vec::<String>::new(), "{name}");
        assert!(!outcome.wrong.is_empty(), "{name}");
    }
    for removal in ["../precious", "/precious"] {
        let mut forged = Forged { remove: [removal.as_bytes(), b"\0"].concat(), ..Forged::default() };
        sound_file(&mut forged, "a", b"content");
        let outcome = outcome(forged).await;
        outcome.assert_refused(removal);
        assert!(!outcome.wrong.is_empty(), "{removal}");
    }
}

/// A sound index beside a tar that leads `tar` astray: restoring follows the index, verify tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_says_something_else_than_its_index_is_reported() {
    for name in ["../precious", "/etc/tgvault-test", "b"] {
        let mut forged = Forged::default();
        let located = forged.file(name.as_bytes(), b"content");
        forged.line(&file_entry("a", 7, located));
        let outcome = outcome(forged).await;
        assert_eq!(outcome.restored.len(), 1, "{name}");
        assert!(outcome.wrong.iter().any(|finding| finding.contains("something else")), "{name}: {:?}", outcome.wrong);
    }
    // A member that no index line names, a device, a hard link.
    for kind in [b'0', b'1', b'3', b'4', b'6', b'L', b'g'] {
        let mut forged = Forged::default();
        sound_file(&mut forged, "a", b"content");
        let mut extra = Forged::default();
        extra.file(b"extra", b"");
        extra.tar[156] = kind;
        let sum: u32 = extra.tar.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
        extra.tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        forged.tar.extend_from_slice(&extra.tar);
        let outcome = outcome(forged).await;
        assert_eq!(outcome.restored.len(), 1, "{kind}");
        assert!(!outcome.wrong.is_empty(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_link() {
    // A symlink out of the target, then a file below it: one path cannot be both, the later wins.
    let mut forged = Forged::default();
    forged.line(&plain_entry("door", Kind::Symlink { target: b"..".to_vec() }));
    let located = forged.file(b"door/precious", b"evil");
    forged.line(&file_entry("door/precious", 4, located));
    outcome(forged).await;
    // The other way round.
    let mut forged = Forged::default();
    let located = forged.file(b"door/precious", b"evil");
    forged.line(&file_entry("door/precious", 4, located));
    forged.line(&plain_entry("door", Kind::Symlink { target: b"..".to_vec() }));
    outcome(forged).await;
    // A hard link to what is outside, through a symlink, and to a folder.
    let mut forged = Forged::default();
    forged.line(&plain_entry("door", Kind::Symlink { target: b"..".to_vec() }));
    forged.raw_line(r#"{"path":"link","kind":"hardlink","target":"door/precious","mode":420,"uid":0,"gid":0,"mtime":[0,0]}"#);
    forged.raw_line(r#"{"path":"link2","kind":"hardlink","target":"door","mode":420,"uid":0,"gid":0,"mtime":[0,0]}"#);
    let through = outcome(forged).await;
    through.assert_refused("a hard link through a symlink");
    assert!(!through.restored.iter().any(|said| said.starts_with("link")), "{:?}", through.restored);
    for target in ["../precious", "/etc/passwd"] {
        let mut forged = Forged::default();
        forged.raw_line(&format!(r#"{{"path":"link","kind":"hardlink","target":"{target}","mode":420,"uid":0,"gid":0,"mtime":[0,0]}}"#));
        outcome(forged).await.assert_refused(target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_cannot_be_are_refused() {
    let base = Located { sha256: NOBODYS, archive: None, frame: 0, offset: 512, length: 7, short: false, part: None };
    let part = |n, of| Some(Part { n, of, file: Id([7; 16]) });
    let huge = u64::MAX - 3;
    let cases: Vec<(&str, IndexEntry)> = vec![
        ("an offset behind the end", file_entry("x", 7, Located { offset: 1 << 40, ..base.clone() })),
        ("an offset at the end of numbers", file_entry("x", 7, Located { offset: huge, ..base.clone() })),
        ("a length behind the end", file_entry("x", 1 << 29, Located { length: 1 << 29, ..base.clone() })),
        ("an absurd size", file_entry("x", huge, Located { length: huge, ..base.clone() })),
        ("a frame that is not there", file_entry("x", 7, Located { frame: u32::MAX, ..base.clone() })),
        ("a part without the others", file_entry("x", huge, Located { part: part(1, u32::MAX), ..base.clone() })),
        ("one part that claims to be huge", file_entry("x", huge, Located { part: part(1, 1), ..base.clone() })),
        ("part nought", file_entry("x", 7, Located { part: part(0, 1), ..base.clone() })),
        ("an archive that is elsewhere", file_entry("x", 7, Located { archive: Some(Id([9; 16])), ..base.clone() })),
        ("another digest", file_entry("x", 7, base.clone())),
    ];
    for (what, entry) in cases {
        let mut forged = Forged::default();
        sound_file(&mut forged, "a", b"content");
        forged.line(&entry);
        let outcome = outcome(forged).await;
        outcome.assert_refused(what);
        assert!(!outcome.restored.iter().any(|said| said.starts_with("x:")), "{what}: {:?}", outcome.restored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_explode_are_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 19).unwrap();
    for claimed in [1 << 20, 8 << 20, (8 << 20) + 1, u32::MAX] {
        let mut forged = Forged { frames: vec![(bomb.clone(), claimed)], ..Forged::default() };
        let located = Located { sha256: NOBODYS, archive: None, frame: 0, offset: 512, length: 7, short: false, part: None };
        forged.line(&file_entry("x", 7, located));
        let outcome = outcome(forged).await;
        outcome.assert_refused(&format!("a frame that claims {claimed}"));
        assert!(!outcome.wrong.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_index_lines_and_garbage_are_refused() {
    let long = format!(r#"{{"path":"{}"}}"#, "a".repeat(5 << 20));
    for line in [long.as_str(), "", "{", "[]", "null", "\u{0}", r#"{"path":"a","kind":"device"}"#, &"[".repeat(100_000)] {
        let mut forged = Forged::default();
        forged.raw_line(line);
        forged.raw_line(line);
        let outcome = outcome(forged).await;
        outcome.assert_refused(&line[..line.len().min(40)]);
        assert!(!outcome.wrong.is_empty());
    }
}

/// Two archives of one repository, whole and sound, under each other's names; and one made by somebody else for the same
/// recipient, which anyone can do.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_archive_is_refused_also_when_one_file_is_read() {
    let world = World::in_memory().await;
    let opened = world.session(&world.storage, None).open().await.unwrap();
    let recipients = forge::recipients(&opened);
    let make = |id: Id, name: &str, seed| honest(id, &recipients, &[(name, &noise(seed, 10_000)), ("other", b"x")]);
    let first = make(Machine::default().id().unwrap(), "wanted", 1);
    // age puts something of random length into its headers; only archives of one length show what the header's digest is worth.
    let same_length =
        |id: Id, name: &str, seed| (0..10_000).map(|_| make(id, name, seed)).find(|(bytes, _)| bytes.len() == first.0.len()).unwrap();
    let second = same_length(Machine::default().id().unwrap(), "needed", 2);
    let snapshot = forge::commit(&world, &[first.clone(), second.clone()]).await;
    let objects: Vec<&str> = snapshot.archives.iter().map(|record| record.object.as_str()).collect();
    let forgery = same_length(first.1.id, "wanted", 3);
    for (what, replacement) in [("swapped", &second.0), ("forged", &forgery.0)] {
        world.replace(objects[0], replacement).await;
        let to = tempdir();
        let log = Arc::new(Log::default());
        let session = world.session(&world.storage, Some(world.unlock()));
        let result = world.restore_in(&session, to.path(), &["wanted"], Arc::clone(&log)).await;
        match result {
            Ok(summary) => assert!(summary.damaged > 0, "{what}"),
            Err(OperationError::Repository(error)) => assert!(error.is_integrity(), "{what}: {error:?}"),
            Err(error) => panic!("{what}: {error:?}"),
        }
        assert!(!to.path().join("wanted").exists(), "{what}");
        let report = world.verify(false).await;
        assert!(report.wrong.iter().any(|finding| finding.object == objects[0]), "{what}");
        let deep = world.verify(true).await;
        assert!(
            wrong(&deep).iter().any(|finding| finding.contains("was replaced") || finding.contains("bytes instead of")),
            "{what}: {:?}",
            wrong(&deep)
        );
    }
}
