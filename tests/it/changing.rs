//! Sources whose files change under the reader: scripted, so that each case happens every time.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tgvault::archive::MEMBER_BYTES;
use tgvault::model::entry::{EntryPath, Kind, Metadata, Stamp, Timestamp};
use tgvault::model::filter::PathFilter;
use tgvault::operations::OperationError;
use tgvault::operations::Stop;
use tgvault::operations::backup::BackupSummary;
use tgvault::operations::look::ls;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::repository::tree::TreeEntry;
use tgvault::source::{Body, Content, Item, Sink, Source, SourceError, SourceName};

use crate::support::{Log, World, noise, tempdir, tree, wrong};

/// What a scripted file does when it is read.
#[derive(Clone, Debug)]
enum Behaviour {
    /// It is what it was listed as.
    Steady,
    /// It ends after this many bytes.
    Shrinks(u64),
    /// It has more bytes than were listed.
    Grows,
    /// It is gone when it is opened.
    Vanishes,
    /// It may not be opened.
    Forbidden,
    /// Reading fails in this range, and nowhere else.
    Unreadable(std::ops::Range<u64>),
    /// It says that it changed, after it was read.
    Changes,
    /// Reading it wishes the run to end at this byte.
    Stops(u64, Stop),
}

/// A file of zeros with islands of data.
#[derive(Clone, Debug)]
struct Script {
    size: u64,
    islands: BTreeMap<u64, Vec<u8>>,
    behaviour: Behaviour,
    version: u64,
    /// Up to here the file is noise.
    noisy_until: u64,
}

impl Script {
    fn small(content: &[u8], behaviour: Behaviour) -> Self {
        Self { size: content.len() as u64, islands: [(0, content.to_vec())].into(), behaviour, version: 1, noisy_until: 0 }
    }

    fn long(size: u64, behaviour: Behaviour) -> Self {
        let island = |at: u64| (at, noise(at + 1, 5_000));
        let islands = [island(0), island(MEMBER_BYTES - 2_500), island(2 * MEMBER_BYTES - 2_500), island(size - 5_000)].into();
        Self { size, islands, behaviour, version: 1, noisy_until: 0 }
    }

    /// The bytes at a place: noise as far as there is any, then islands in zeros.
    fn byte_range(&self, at: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = at + buffer.len() as u64;
        if at < self.noisy_until {
            // Frames of an archive are shorter than this, so that they find nothing in common.
            static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(77, 4 << 20));
            let taken = (end.min(self.noisy_until) - at) as usize;
            let mut done = 0;
            while done < taken {
                let from = (at as usize + done) % NOISE.len();
                let piece = (taken - done).min(NOISE.len() - from);
                buffer[done..done + piece].copy_from_slice(&NOISE[from..from + piece]);
                done += piece;
            }
        }
        for (&start, bytes) in &self.islands {
            let (from, to) = (start.max(at), (start + bytes.len() as u64).min(end));
            if from < to {
                buffer[(from - at) as usize..(to - at) as usize].copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
            }
        }
    }
}

struct Reading {
    script: Script,
    at: u64,
    read: Arc<AtomicU64>,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = match &self.script.behaviour {
            Behaviour::Shrinks(end) => *end,
            Behaviour::Grows => self.script.size + 1_000,
            Behaviour::Unreadable(range) if range.contains(&self.at) => return Err(io::Error::other("a bad sector")),
            Behaviour::Unreadable(range) if self.at < range.start => range.start,
            Behaviour::Stops(at, stop) if self.at >= *at => {
                stop.now();
                self.script.size
            }
            _ => self.script.size,
        };
        let got = buffer.len().min(usize::try_from(end.saturating_sub(self.at)).unwrap());
        self.script.byte_range(self.at, &mut buffer[..got]);
        self.at += got as u64;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

impl Body for Reading {
    fn changed(&mut self) -> io::Result<bool> {
        Ok(matches!(self.script.behaviour, Behaviour::Changes | Behaviour::Grows))
    }
}

struct Scripted {
    script: Script,
    read: Arc<AtomicU64>,
}

impl Content for Scripted {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        match self.script.behaviour {
            Behaviour::Vanishes => Err(io::ErrorKind::NotFound.into()),
            Behaviour::Forbidden => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(Box::new(Reading { script: self.script.clone(), at: from, read: Arc::clone(&self.read) })),
        }
    }
}

/// Files by path, and further names.
#[derive(Clone, Default)]
struct Play {
    files: BTreeMap<String, Script>,
    links: BTreeMap<String, String>,
    read: Arc<AtomicU64>,
}

impl Play {
    fn file(mut self, path: &str, script: Script) -> Self {
        self.files.insert(path.into(), script);
        self
    }

    fn link(mut self, path: &str, first: &str) -> Self {
        self.links.insert(path.into(), first.into());
        self
    }

    /// Bytes that were read since this was asked last.
    fn bytes_read(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

impl Source for Play {
    fn name(&self) -> SourceName {
        SourceName { kind: "scripted".into(), name: "play".into() }
    }

    fn lists_everything(&self) -> bool {
        true
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        let meta = Metadata { mode: 0o644, mtime: Timestamp { seconds: -5, nanos: 7 }, ..Metadata::default() };
        for (path, script) in &self.files {
            let stamp = Some(Stamp { ctime: Timestamp { seconds: 1, nanos: 0 }, inode: script.version });
            let content = Scripted { script: script.clone(), read: Arc::clone(&self.read) };
            sink.item(Item {
                path: EntryPath::new(path.as_str()).unwrap(),
                kind: Kind::File,
                meta: meta.clone(),
                size: script.size,
                sparse: script.size > MEMBER_BYTES,
                stamp,
                content: Some(Arc::new(content)),
                mark: 0,
            })?;
        }
        for (path, first) in &self.links {
            let kind = Kind::Hardlink { target: EntryPath::new(first.as_str()).unwrap() };
            let path = EntryPath::new(path.as_str()).unwrap();
            sink.item(Item { path, kind, meta: meta.clone(), size: 0, sparse: false, stamp: None, content: None, mark: 0 })?;
        }
        Ok(())
    }
}

async fn run(world: &World, play: &Play, stop: Stop) -> Result<(BackupSummary, Vec<String>), OperationError> {
    let log = Arc::new(Log::default());
    let vault = world.locked(&world.storage);
    let summary = vault.backup(Arc::new(play.clone())).with(|options| options.lanes = 2).events(log.clone()).stop(stop).await?;
    let said = log.0.lock().unwrap().clone();
    Ok((summary, said))
}

/// What is wrong with what was read, told in the words of the event.
fn problems(said: &[String]) -> Vec<&String> {
    said.iter().filter(|said| said.starts_with("Problem")).collect()
}

async fn restored(world: &World, to: &std::path::Path) {
    let log = Arc::new(Log::default());
    let summary = world.restore_from(&world.storage, to, Arc::clone(&log)).await.unwrap();
    assert_eq!((summary.problems, summary.damaged), (0, 0), "{:?}", log.0.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_under_the_reader_are_told_and_stored_as_far_as_they_were_read() {
    // Below and above the size from which files are not held in memory.
    for size in [3_000, 700_000] {
        let world = World::in_memory().await;
        let content = noise(1, size);
        let other = noise(2, size);
        let half = size as u64 / 2;
        let play = Play::default()
            .file("steady", Script::small(&other, Behaviour::Steady))
            .file("shrinks", Script::small(&content, Behaviour::Shrinks(half)))
            .file("grows", Script::small(&noise(3, size), Behaviour::Grows))
            .file("changes", Script::small(&noise(4, size), Behaviour::Changes))
            .file("vanishes", Script::small(&content, Behaviour::Vanishes))
            .file("forbidden", Script::small(&content, Behaviour::Forbidden))
            .file("broken", Script::small(&noise(5, size), Behaviour::Unreadable(half..half + 1)))
            .link("z/changes too", "changes")
            .link("z/vanishes too", "vanishes");
        let (summary, said) = run(&world, &play, Stop::new()).await.unwrap();
        let told = problems(&said);
        assert_eq!(summary.counts.problems, told.len() as u64);
        for name in ["shrinks", "grows", "changes", "vanishes", "forbidden", "broken", "z/vanishes too"] {
            assert!(told.iter().any(|said| said.contains(&format!("({name})"))), "{name}: {told:?}");
        }
        assert_eq!(told.len(), 7, "{told:?}");
        let to = tempdir();
        restored(&world, to.path()).await;
        let read = |name: &str| std::fs::read(to.path().join(name)).ok();
        assert_eq!(read("steady").unwrap(), other);
        assert_eq!(read("shrinks").unwrap(), content[..size / 2]);
        assert_eq!(read("grows").unwrap(), noise(3, size));
        assert_eq!(read("changes").unwrap(), noise(4, size));
        assert_eq!(read("z/changes too").unwrap(), noise(4, size));
        assert_eq!((read("vanishes"), read("forbidden"), read("z/vanishes too")), (None, None, None));
        let report = world.verify(true).await;
        assert_eq!(wrong(&report), Vec::<String>::new());

        // All well again: everything that was not right is read again, the rest is not.
        let mut well = play.clone();
        for (name, script) in &mut well.files {
            script.behaviour = Behaviour::Steady;
            if name == "grows" || name == "changes" {
                // What changed has a new stamp.
                script.version = 2;
            }
        }
        well.bytes_read();
        let (summary, said) = run(&world, &well, Stop::new()).await.unwrap();
        // A further name is noted again when its file is stored again.
        assert_eq!((summary.counts.problems, summary.unchanged), (0, 1), "{said:?} {:?}", summary.counts);
        let to = tempdir();
        restored(&world, to.path()).await;
        for (name, script) in &well.files {
            assert_eq!(std::fs::read(to.path().join(name)).unwrap(), script.islands[&0], "{name}");
        }
        assert_eq!(std::fs::read(to.path().join("z/vanishes too")).unwrap(), content);

        // And what cannot be read any more stays as it was.
        let mut gone = well.clone();
        for script in gone.files.values_mut() {
            (script.behaviour, script.version) = (Behaviour::Forbidden, 3);
        }
        let (summary, _) = run(&world, &gone, Stop::new()).await.unwrap();
        assert_eq!(summary.counts.problems, gone.files.len() as u64);
        let again = tempdir();
        restored(&world, again.path()).await;
        let files = |root: &std::path::Path| tree(root).into_iter().filter(|(name, _)| name != "z").collect::<Vec<_>>();
        assert_eq!(files(again.path()), files(to.path()));
    }
}

/// Compares what is written to it with a script, as far as `length`, with zeros where the script could not be read.
#[derive(Clone)]
struct Comparing {
    script: Script,
    zeros: Vec<std::ops::Range<u64>>,
    at: Arc<AtomicU64>,
}

impl Comparing {
    fn new(script: &Script, zeros: &[std::ops::Range<u64>]) -> Self {
        Self { script: script.clone(), zeros: zeros.to_vec(), at: Arc::default() }
    }

    fn assert_length(&self, length: u64) {
        assert_eq!(self.at.load(Ordering::Relaxed), length, "{:?}", self.script.behaviour);
    }
}

impl io::Write for Comparing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.at.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut wanted = vec![0; bytes.len()];
        self.script.byte_range(at, &mut wanted);
        for zeros in &self.zeros {
            let (from, to) = (zeros.start.max(at), zeros.end.min(at + bytes.len() as u64));
            if from < to {
                wanted[(from - at) as usize..(to - at) as usize].fill(0);
            }
        }
        assert!(wanted == bytes, "other bytes near {at}: {:?}", self.script.behaviour);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn assert_file(path: &std::path::Path, script: &Script, length: u64, zeros: &[std::ops::Range<u64>]) {
    let mut comparing = Comparing::new(script, zeros);
    let mut file = io::BufReader::with_capacity(1 << 20, std::fs::File::open(path).unwrap());
    io::copy(&mut file, &mut comparing).unwrap();
    comparing.assert_length(length);
}

/// A file of three parts: stopped in the middle, resumed at its last part; shrunk; with a bad sector.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_goes_on_at_its_last_part_and_survives_what_befalls_it() {
    use std::os::unix::fs::MetadataExt;
    let world = World::in_memory().await;
    let size = 2 * MEMBER_BYTES + 50_000_000;
    let stop = Stop::new();
    // The first part is noise and fills an archive; the others compress to nothing, and would not by themselves.
    let noisy = |script: Script| Script { noisy_until: MEMBER_BYTES, ..script };
    let stopping = noisy(Script::long(size, Behaviour::Stops(2 * MEMBER_BYTES + 10_000_000, stop.clone())));
    let play = Play::default().file("long", stopping);
    let result = run(&world, &play, stop).await;
    assert!(matches!(result, Err(OperationError::Interrupted)), "{result:?}");
    let stored = world.objects().await;
    assert_eq!(stored.keys().filter(|name| name.starts_with("archives/")).count(), 1, "{stored:?}");
    let mut play = play.clone();
    play.files.insert("long".into(), noisy(Script::long(size, Behaviour::Steady)));
    play.bytes_read();
    let (summary, said) = run(&world, &play, Stop::new()).await.unwrap();
    assert_eq!(summary.counts.problems, 0, "{said:?}");
    assert_eq!((play.bytes_read(), summary.counts.new_bytes), (size - MEMBER_BYTES, size - MEMBER_BYTES));
    let to = tempdir();
    restored(&world, to.path()).await;
    let script = &play.files["long"];
    assert_file(&to.path().join("long"), script, size, &[]);
    assert!(to.path().join("long").metadata().unwrap().blocks() * 512 < MEMBER_BYTES + (1 << 20), "holes stay holes");
    play.bytes_read();
    let (summary, _) = run(&world, &play, Stop::new()).await.unwrap();
    assert_eq!((summary.unchanged, summary.counts.stored_bytes, play.bytes_read()), (1, 0, 0));

    // A bad sector in the second part; the third is what it was. Then it shrinks into the second part.
    let bad = MEMBER_BYTES + 100_000_000..MEMBER_BYTES + 100_000_001;
    let lost = bad.start..2 * MEMBER_BYTES;
    let shrunk = MEMBER_BYTES + 1_000;
    for (behaviour, length, zeros) in [(Behaviour::Unreadable(bad), size, vec![lost]), (Behaviour::Shrinks(shrunk), shrunk, vec![])] {
        let mut script = Script::long(size, behaviour);
        script.version = 2 + length;
        play.files.insert("long".into(), script.clone());
        let (summary, said) = run(&world, &play, Stop::new()).await.unwrap();
        assert_eq!((summary.counts.problems, problems(&said).len()), (1, 1), "{said:?}");
        let to = tempdir();
        restored(&world, to.path()).await;
        assert_file(&to.path().join("long"), &script, length, &zeros);
        let out = Comparing::new(&script, &zeros);
        let path = EntryPath::new("long").unwrap();
        world.vault(&world.storage).cat(&SnapshotChoice::latest(), path, out.clone()).await.unwrap();
        out.assert_length(length);
    }
    // What cannot be read any more stays as it was.
    play.files.insert("long".into(), Script { version: 9, ..Script::long(size, Behaviour::Forbidden) });
    let (summary, said) = run(&world, &play, Stop::new()).await.unwrap();
    assert_eq!((summary.counts.problems, problems(&said).len()), (1, 1), "{said:?}");
    let (session, mut kept) = (world.session(&world.storage, Some(world.unlock())), Vec::new());
    let (all, everything) = (SnapshotChoice::latest(), PathFilter::everything());
    let each = |path: &EntryPath, entry: &TreeEntry| {
        kept.push((path.to_string(), entry.stored_size()));
        Ok(())
    };
    ls(&session, &all, &[], &everything, each).await.unwrap();
    assert_eq!(kept, [("long".to_owned(), shrunk)]);
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost), (vec![], vec![]));
}
