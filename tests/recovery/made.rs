//! Archives that are made by hand: long files, references, removals, lists.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use tgvault::archive::MEMBER_BYTES;
use tgvault::archive::index::{IndexEntry, Located, Part};
use tgvault::archive::parts::PartPool;
use tgvault::archive::writer::{ArchiveWriter, NewFile};
use tgvault::model::digest::Id;
use tgvault::model::entry::{EntryPath, Kind, Metadata, Timestamp};
use tgvault::operations::session::Opened;
use tgvault::repository::Machine;
use tgvault::repository::commit::Writer;
use tgvault::repository::format::names;
use tgvault::repository::format::snapshot::{ArchiveRecord, Counts, Snapshot};
use tgvault::repository::format::version::CURRENT;
use tgvault::source::SourceName;

use crate::support::{World, noise};
use crate::vault::{Vault, look, run, words};

/// Makes archives by hand, to have what a backup makes of gigabytes only.
struct Maker {
    opened: Opened,
    writer: Writer,
    archives: Vec<ArchiveRecord>,
}

impl Maker {
    async fn new(world: &World) -> Self {
        let mut opened = world.session(&world.storage, None).open().await.unwrap();
        let writer = opened.writer().await.unwrap();
        Self { opened, writer, archives: Vec::new() }
    }

    async fn archive(&mut self, fill: impl FnOnce(&mut ArchiveWriter<Vec<u8>>)) -> Id {
        let id = Machine::default().id().unwrap();
        let mut writer = ArchiveWriter::new(id, &self.writer.recipients, Vec::new(), PartPool::new(4)).unwrap();
        fill(&mut writer);
        let (sealed, bytes) = writer.finish().unwrap();
        let object = names::archive(jiff::Timestamp::now(), id);
        self.opened.repository.storage.put_new(&object, bytes.into()).await.unwrap();
        self.archives.push(ArchiveRecord {
            id,
            object,
            length: sealed.length,
            sha256: sealed.sha256,
            header_sha256: sealed.header_sha256,
            merged: false,
            own: None,
        });
        id
    }

    async fn commit(&mut self, sequence: u64) {
        let mut snapshot = Snapshot {
            format: CURRENT,
            id: Machine::default().id().unwrap(),
            time: jiff::Timestamp::now(),
            host: "host".into(),
            program: "a test".into(),
            source: SourceName { kind: "folder".into(), name: "/made/by/hand".into() },
            top: None,
            tags: Vec::new(),
            options: Vec::new(),
            writer: self.writer.id,
            chain: Id([1; 16]),
            sequence,
            parent: None,
            complete: true,
            counts: Counts::default(),
            archives: self.archives.clone(),
            borrowed: Vec::new(),
            lists: Vec::new(),
            packs: Vec::new(),
            stand_ins: Vec::new(),
        };
        self.opened.repository.commit(&mut snapshot, &self.writer).await.unwrap();
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn meta(mode: u32) -> Metadata {
    Metadata { mode, uid: 0, gid: 0, mtime: Timestamp { seconds: 1_790_000_000, nanos: 5 }, xattrs: Vec::new() }
}

fn append(writer: &mut ArchiveWriter<Vec<u8>>, at: &str, content: &[u8], declared: u64, part: Option<(Part, u64)>) -> Located {
    let (path, meta) = (path(at), meta(0o640));
    let (length, size) = (declared, part.map_or(declared, |(_, size)| size));
    let file = NewFile { path: &path, meta: &meta, stamp: None, size, sparse: part.is_some(), length, part: part.map(|(part, _)| part) };
    writer.append_file(&file, &mut &content[..]).unwrap().located
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_comes_back_from_its_parts() {
    needs_tools!();
    let vault = Vault::new().await;
    let source = vault.world.source();
    let name = Path::new("-dir/film\n.mp4");
    vault.world.write(name.to_str().unwrap(), &noise(1, 70_000));
    let film = fs::File::options().write(true).open(source.join(name)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&film, &noise(2, 70_000), MEMBER_BYTES - 35_000).unwrap();
    drop(film);
    vault.world.backup().await;
    assert_eq!(vault.both().await, look(&source));
    // A shorter version takes the place of the long one, and the long one goes on elsewhere.
    fs::rename(source.join(name), source.join("moved")).unwrap();
    vault.world.write(name.to_str().unwrap(), b"short");
    vault.world.backup().await;
    assert_eq!(vault.both().await, look(&source));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_were_read_short_keep_their_places() {
    needs_tools!();
    let vault = Vault::new().await;
    let mut maker = Maker::new(&vault.world).await;
    let (pieces, file) = ([noise(1, 70_000), noise(3, 11), Vec::new()], Id([5; 16]));
    let size = 2 * MEMBER_BYTES + 5;
    let part = |n| Some((Part { n, of: 3, file }, size));
    let mut places = Vec::new();
    maker
        .archive(|writer| {
            append(writer, "before", b"before", 6, None);
            places.push(append(writer, "film", &pieces[0], 80_000, part(1)));
        })
        .await;
    maker
        .archive(|writer| {
            places.push(append(writer, "film", &pieces[1], 20, part(2)));
            places.push(append(writer, "film", &pieces[2], 5, part(3)));
        })
        .await;
    // The same content under another name, noted part by part, and a further name of that.
    let (first, second) = (maker.archives[0].id, maker.archives[1].id);
    let copy = |n: u32, place: &Located, archive: Id| IndexEntry {
        path: path("-dir/copy\n"),
        kind: Kind::File,
        meta: meta(0o600),
        stamp: None,
        size,
        sparse: true,
        content: Some(Located { archive: Some(archive), part: Some(Part { n, of: 3, file: Id([6; 16]) }), ..place.clone() }),
    };
    maker
        .archive(|writer| {
            for (n, (place, archive)) in (1..).zip(places.iter().zip([first, second, second])) {
                writer.append_reference(&copy(n, place, archive)).unwrap();
            }
            let link = Kind::Hardlink { target: path("-dir/copy\n") };
            let link =
                IndexEntry { path: path("-hard"), kind: link, meta: meta(0o600), stamp: None, size: 0, sparse: false, content: None };
            writer.append_reference(&link).unwrap();
        })
        .await;
    maker.commit(1).await;
    let recovered = vault.both().await;
    for name in ["film", "-dir/copy\n", "-hard"] {
        assert!(recovered[OsStr::new(name)].contains(&format!(" {} ", MEMBER_BYTES + 11)), "{name}: {recovered:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_without_an_end_are_told() {
    needs_tools!();
    let vault = Vault::new().await;
    let mut maker = Maker::new(&vault.world).await;
    let part = Some((Part { n: 1, of: 2, file: Id([5; 16]) }, 200));
    maker
        .archive(|writer| {
            append(writer, "film", &[7; 100], 100, part);
        })
        .await;
    maker.commit(1).await;
    let (_, output) = vault.recover();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("not stored to its end"), "{}", words(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shrank_comes_back_as_long_as_it_was() {
    needs_tools!();
    let vault = Vault::new().await;
    let mut maker = Maker::new(&vault.world).await;
    maker
        .archive(|writer| {
            append(writer, "log\n", &[7; 100], 5000, None);
        })
        .await;
    maker.commit(1).await;
    assert!(vault.both().await[OsStr::new("log\n")].contains(" 100 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_does_not_go_through_a_symbolic_link() {
    needs_tools!();
    let vault = Vault::new().await;
    let mut maker = Maker::new(&vault.world).await;
    maker
        .archive(|writer| {
            for folder in ["kept", "a"] {
                writer.append_plain(&path(folder), &Kind::Dir, &meta(0o755), None).unwrap();
            }
            append(writer, "kept/b", b"kept", 4, None);
            append(writer, "a/b", b"gone", 4, None);
        })
        .await;
    // A checkpoint: the folder has become a link, but what was in it is named as deleted only at the end of the run.
    maker
        .archive(|writer| {
            writer.append_removal(b"a");
            writer.append_plain(&path("a"), &Kind::Symlink { target: b"kept".to_vec() }, &meta(0o777), None).unwrap();
        })
        .await;
    maker.archive(|writer| writer.append_removal(b"a/b")).await;
    maker.commit(1).await;
    let recovered = vault.both().await;
    assert!(recovered.contains_key(OsStr::new("kept/b")) && recovered.len() == 3, "{recovered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_in_a_list_come_in_their_order() {
    needs_tools!();
    let vault = Vault::new().await;
    let mut maker = Maker::new(&vault.world).await;
    for n in 0..102_u32 {
        maker
            .archive(|writer| {
                append(writer, "counter", n.to_string().as_bytes(), n.to_string().len() as u64, None);
            })
            .await;
    }
    maker.commit(1).await;
    assert_eq!(vault.stored("lists").len(), 2, "its sums and its lengths");
    let (to, output) = vault.recover();
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(fs::read_to_string(to.join("counter")).unwrap(), "101");
    assert_eq!(look(&to), vault.restore().await);
    assert!(vault.verify().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_comes_out_of_its_archive() {
    needs_tools!();
    let vault = Vault::new().await;
    let mut maker = Maker::new(&vault.world).await;
    let content = noise(9, 3_000_000);
    let mut place = None;
    maker
        .archive(|writer| {
            append(writer, "before", &noise(8, 5000), 5000, None);
            place = Some(append(writer, "wanted", &content, content.len() as u64, None));
        })
        .await;
    maker.commit(1).await;
    let (place, archive) = (place.unwrap(), vault.vault.join(&maker.archives[0].object));
    let (offset, length) = (place.offset.to_string(), place.length.to_string());
    let one = run(&vault.world, "one", &[vault.identity.as_os_str(), archive.as_os_str(), offset.as_ref(), length.as_ref()]);
    assert!(one.status.success() && one.stdout == content, "{}", String::from_utf8_lossy(&one.stderr));
}
