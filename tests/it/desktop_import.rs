//! A folder with an export becomes logs and media, and can be put together again byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tgvault::crypt::digest::sha256;
use tgvault::model::entry::{EntryPath, Kind, Timestamp};
use tgvault::model::paths::{Place, RunId, place};
use tgvault::model::peer::Peer;
use tgvault::model::record::{Raw, Record};
use tgvault::source::desktop::import::{DesktopExport, ImportOptions, ImportedFile};
use tgvault::source::desktop::known::Remembered;
use tgvault::source::desktop::layout::rebuild;
use tgvault::source::{Before, Item, Problem, Sink, Source, Stopped};

use super::desktop_export::zone;
use super::restore_as::files as files_of;

/// Every entry of a backup, as a store would have it after some runs.
#[derive(Default)]
struct Stored {
    entries: BTreeMap<EntryPath, Vec<u8>>,
    times: BTreeMap<EntryPath, Timestamp>,
    /// Paths that the last run listed.
    listed: Vec<EntryPath>,
    marks: Vec<u64>,
    problems: Vec<Problem>,
    stop_after: Option<usize>,
}

impl Sink for Stored {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        if self.stop_after.is_some_and(|stop| self.listed.len() >= stop) {
            return Err(Stopped);
        }
        let mut bytes = Vec::new();
        item.content.unwrap().open(0).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, item.size, "{}", item.path);
        if matches!(place(&item.path), Some(Place::Log { .. })) {
            assert!(item.mark > 0 && !self.entries.contains_key(&item.path), "{} is never replaced", item.path);
        }
        self.marks.extend(Some(item.mark).filter(|&mark| mark > 0));
        self.listed.push(item.path.clone());
        self.times.insert(item.path.clone(), item.meta.mtime);
        self.entries.insert(item.path, bytes);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn before(&self, path: &EntryPath) -> Option<Before> {
        let bytes = self.entries.get(path)?;
        Some(Before { size: bytes.len() as u64, mtime: self.times[path], sha256: Some(sha256(bytes)) })
    }
}

impl Stored {
    fn records(&self) -> Vec<(RunId, Record)> {
        let mut records = Vec::new();
        for (path, bytes) in &self.entries {
            if let Some(Place::Log { run, .. }) = place(path) {
                let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
                records.extend(lines.map(|line| (run.clone(), Record::from_line(line).unwrap())));
            }
        }
        records
    }

    fn raw(&self, peer: Peer, run: &RunId, id: i64) -> Option<Vec<u8>> {
        self.records().into_iter().find_map(|(of, record)| match record {
            Record::Message(message) if of == *run && (message.peer, message.id) == (peer, id) => match message.raw {
                Some(Raw::Json { bytes, .. } | Raw::Html { bytes }) => Some(bytes),
                _ => None,
            },
            _ => None,
        })
    }

    /// The export that a run took in, file by file.
    fn original(&self, run: &str) -> BTreeMap<String, Vec<u8>> {
        let list = &self.entries[&EntryPath::new(format!("imports/{run}/files.jsonl")).unwrap()];
        let mut files = BTreeMap::new();
        for line in list.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let file: ImportedFile = serde_json::from_slice(line).unwrap();
            if file.kind != Kind::File {
                continue;
            }
            let bytes = match &file.stored {
                Some(stored) => self.entries[stored].clone(),
                None => {
                    let layout: Vec<u8> = file.layout.iter().flat_map(|path| self.entries[path].clone()).collect();
                    let mut out = Vec::new();
                    rebuild(&layout[..], |peer, run, id| self.raw(peer, run, id), &mut out).unwrap();
                    assert_eq!(Some(sha256(&out)), file.sha256, "{}", file.path);
                    out
                }
            };
            assert_eq!(bytes.len() as u64, file.size);
            files.insert(file.path.to_string(), bytes);
        }
        files
    }

    fn logs_listed(&self) -> usize {
        self.listed.iter().filter(|path| matches!(place(path), Some(Place::Log { .. }))).count()
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export")
}

fn import(folder: &Path, run: &str, known: &Arc<Remembered>, stored: &mut Stored) {
    stored.listed.clear();
    stored.marks.clear();
    let options = ImportOptions { zone: zone(), run: run.parse().unwrap(), made: Some(1_750_000_000) };
    let source = DesktopExport::open(folder, options, Arc::clone(known)).unwrap();
    assert!(!source.lists_everything());
    source.list(stored).unwrap();
    source.committed(&stored.marks);
}

#[test]
fn an_export_is_taken_in_and_given_back() {
    let mut stored = Stored::default();
    let known = Arc::new(Remembered::new([1; 32]));
    import(&sample(), "r1", &known, &mut stored);
    assert_eq!(stored.problems.len(), 0, "{:?}", stored.problems);
    assert!(stored.original("r1") == files_of(&sample()));
    assert_eq!(stored.records().len(), 35);
    assert_eq!(stored.logs_listed(), 5);
    // Media lie under their content's name, and a record names them so.
    let photo = fs::read(sample().join("chats/chat_1/photos/photo_1@04-05-2024_08-15-40.jpg")).unwrap();
    let path = EntryPath::new(format!("media/photo/sha256-{}-full.jpg", sha256(&photo))).unwrap();
    assert_eq!(stored.entries[&path], photo);
    let named = stored.records().into_iter().any(|(_, record)| match record {
        Record::Message(message) => message.media.iter().any(|media| media.path.as_ref() == Some(&path)),
        _ => false,
    });
    assert!(named);
}

#[test]
fn a_grown_export_stores_what_is_new() {
    let mut stored = Stored::default();
    let known = Arc::new(Remembered::new([1; 32]));
    import(&sample(), "r1", &known, &mut stored);

    import(&sample(), "r2", &known, &mut stored);
    assert_eq!(stored.logs_listed(), 0, "{:?}", stored.listed);
    assert!(stored.original("r2") == files_of(&sample()));

    let grown = tempfile::tempdir().unwrap();
    for (name, bytes) in files_of(&sample()) {
        let path = grown.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let json = fs::read_to_string(grown.path().join("result.json")).unwrap();
    let json = json.replace("Leaving 7:40", "Leaving 7:50").replace("\"Tomás Ribeiro\"", "\"Tomás R.\"");
    fs::write(grown.path().join("result.json"), json).unwrap();
    import(grown.path(), "r3", &known, &mut stored);
    let new: Vec<i64> = stored
        .records()
        .into_iter()
        .filter_map(|(run, record)| match record {
            Record::Message(message) if run.as_str() == "r3" => Some(message.id),
            _ => None,
        })
        .collect();
    // The new text; and a service message that tells its people by name only.
    assert_eq!(new, [-999_999_999, 1002]);
    assert!(stored.original("r3") == files_of(grown.path()));
    assert!(stored.original("r1") == files_of(&sample()), "the first is still there");
}

#[test]
fn html_alone_is_taken_in_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read(sample().parent().unwrap().join("desktop-export/messages.html")).unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    fs::write(folder.path().join("messages.html"), &page).unwrap();
    fs::write(folder.path().join("photos/photo_1@12-01-2024_09-06-00.jpg"), b"a photo").unwrap();
    fs::write(folder.path().join("photos/photo_1@12-01-2024_09-06-00_thumb.jpg"), b"a thumb").unwrap();
    fs::write(folder.path().join("messages7.html"), b"not a page of messages").unwrap();
    let mut stored = Stored::default();
    import(folder.path(), "r1", &Arc::new(Remembered::new([1; 32])), &mut stored);
    assert_eq!(stored.records().len(), 7);
    assert!(stored.original("r1") == files_of(folder.path()));
}

#[test]
fn a_stopped_import_remembers_nothing() {
    let mut stored = Stored { stop_after: Some(6), ..Stored::default() };
    let known = Arc::new(Remembered::new([1; 32]));
    let options = ImportOptions { zone: zone(), run: "r1".parse().unwrap(), made: None };
    let source = DesktopExport::open(&sample(), options, Arc::clone(&known)).unwrap();
    assert!(matches!(source.list(&mut stored), Err(tgvault::source::SourceError::Stopped(Stopped))));
    let mut again = Stored::default();
    import(&sample(), "r2", &known, &mut again);
    assert_eq!(again.records().len(), 35);
    assert!(again.original("r2") == files_of(&sample()));
}

mod any_bytes {
    //! The same promises as the fuzz targets keep, on damaged copies of the golden files.

    use std::io;

    use proptest::prelude::*;
    use tgvault::model::account::AccountSection;
    use tgvault::model::chat::ChatInfo;
    use tgvault::model::record::{MessageRecord, Raw, Record};
    use tgvault::source::desktop::convert::Files;
    use tgvault::source::desktop::html::ChatPages;
    use tgvault::source::desktop::known::table::Table;
    use tgvault::source::desktop::read::{Circumstances, Receiver, read_json};

    use super::{EntryPath, rebuild};
    use crate::desktop_export::{data, zone};

    struct NoFiles;

    impl Files for NoFiles {
        fn find(&mut self, _: &str) -> Option<(EntryPath, u64)> {
            None
        }
    }

    #[derive(Default)]
    struct Everything {
        file: Vec<u8>,
        messages: Vec<MessageRecord>,
    }

    impl Receiver for Everything {
        fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.file.extend_from_slice(bytes);
            Ok(())
        }

        fn message(&mut self, record: MessageRecord) -> io::Result<()> {
            if let Some(Raw::Json { bytes, .. } | Raw::Html { bytes }) = &record.raw {
                self.file.extend_from_slice(bytes);
            }
            self.messages.push(record);
            Ok(())
        }

        fn chat(&mut self, _: ChatInfo) -> io::Result<()> {
            Ok(())
        }

        fn section(&mut self, _: AccountSection) -> io::Result<()> {
            Ok(())
        }

        fn problem(&mut self, _: u64, _: &str) {}
    }

    impl Everything {
        fn check(self, file: &[u8]) {
            assert!(self.file == file, "the pieces are the file");
            for message in self.messages {
                let raw = message.raw.clone();
                let mut line = Vec::new();
                Record::Message(message).write_line(&mut line).unwrap();
                let Record::Message(read) = Record::from_line(&line).unwrap() else { panic!("a message was written") };
                assert_eq!(read.raw, raw);
            }
        }
    }

    fn circumstances() -> Circumstances {
        Circumstances { zone: zone(), observed: 0, run: "r".parse().unwrap() }
    }

    /// A golden file with some bytes exchanged, taken out or put in.
    fn damaged(name: &str, edits: &[(usize, u8, u8)]) -> Vec<u8> {
        let mut bytes = data(&format!("desktop-export/{name}"));
        for &(at, what, byte) in edits {
            let at = at % bytes.len().max(1);
            match what % 4 {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(bytes.len() / 2)),
            }
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_damaged_export_is_kept_whole(
            file in 0usize..6,
            edits in proptest::collection::vec((any::<usize>(), any::<u8>(), prop_oneof![any::<u8>(), Just(b'"'), Just(b'{'), Just(b'\\')]), 0..8),
        ) {
            let name = ["account-7.json", "age-1.3.json", "age-2.4.json", "age-4.1.json", "age-4.15.json", "age-6.1.json"][file];
            let bytes = damaged(name, &edits);
            let mut all = Everything::default();
            read_json(&bytes[..], circumstances(), &mut NoFiles, &mut all).unwrap();
            all.check(&bytes);
        }

        #[test]
        fn a_damaged_page_is_kept_whole(edits in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..8)) {
            let bytes = damaged("messages.html", &edits);
            let mut all = Everything::default();
            ChatPages::new(circumstances(), "", None, None).page(&bytes, &mut NoFiles, &mut all).unwrap();
            all.check(&bytes);
        }

        #[test]
        fn any_layout_and_any_table_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = rebuild(&bytes[..], |_, _, _| None, &mut Vec::new());
            let _ = Table::read(&mut &bytes[..]);
            let begun = [b"tgvi\x02\0\0\0".as_slice(), &[7; 32], &bytes].concat();
            let _ = Table::read(&mut &begun[..]);
        }
    }
}
