//! How many requests a vault in a bucket takes, whatever its age: counted, at 10, 200, 300 and 1,000 snapshots of one source; and how many of
//! them must wait for others.

use std::collections::BTreeMap;
use std::sync::Arc;

use tgvault::archive::index::IndexEntry;
use tgvault::archive::parts::PartPool;
use tgvault::archive::writer::{ArchiveWriter, NewFile};
use tgvault::model::entry::{EntryPath, Kind, Metadata};
use tgvault::model::filter::PathFilter;
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::operations::verify::{VerifyOptions, verify};
use tgvault::operations::{Session, Stop, find, look};
use tgvault::repository::format::names;
use tgvault::repository::format::snapshot::{ArchiveRecord, Counts as Done, OwnPlace, Snapshot};
use tgvault::repository::format::version::CURRENT;
use tgvault::source::Source;
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::state::{CacheUse, StateFolder};
use tgvault::storage::{Counts, Request, Storage};

use crate::support::{Log, World, restore_options, verify_options};

/// Files in the first snapshot.
const FILES: usize = 300;

/// Requests of one command: pages of listings, and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    pages: usize,
    others: usize,
}

fn cost(requests: &[Request]) -> Cost {
    let pages = requests.iter().filter(|request| request.method == "LIST").count();
    Cost { pages, others: requests.len() - pages }
}

/// A vault of one source, each of whose snapshots adds one small archive: made as a backup makes it, without a source to look at.
pub struct Aged {
    pub world: World,
    pub counts: Counts,
    storage: Storage,
    machine: usize,
}

impl Aged {
    pub async fn of(snapshots: usize, counts: Counts) -> Self {
        let world = World::in_memory().await;
        let session = world.session(&world.storage, None);
        let mut opened = session.open_to_write().await.unwrap();
        let writer = opened.writer().await.unwrap();
        let source = FolderSource::open(&world.source(), FolderOptions::default()).unwrap().name();
        let pool = PartPool::new(4);
        let mut state: BTreeMap<EntryPath, IndexEntry> = BTreeMap::new();
        let started = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(10_000);
        let mut last: Option<Snapshot> = None;
        let chain = world.machine.id().unwrap();
        for number in 0..snapshots {
            let mut archives = last.as_ref().map(|last| last.archives.clone()).unwrap_or_default();
            let since = archives.len() - archives.iter().rposition(|record| record.merged).map_or(0, |at| at + 1);
            let files: Vec<String> =
                if number == 0 { (0..FILES).map(|n| format!("old/{n}")).collect() } else { vec![format!("new/{number}")] };
            let mut fills = vec![false];
            if since >= 256 {
                fills.insert(0, true);
            }
            for merged in fills {
                let (id, time) = (world.machine.id().unwrap(), jiff::Timestamp::now());
                let mut writer = ArchiveWriter::new(id, &writer.recipients, Vec::new(), pool.clone()).unwrap();
                if merged {
                    state.values().for_each(|entry| writer.append_merged(entry).unwrap());
                } else {
                    for name in &files {
                        let path = EntryPath::new(name.as_str()).unwrap();
                        let (content, meta) = (format!("content of {name}"), Metadata::default());
                        let size = content.len() as u64;
                        let file = NewFile { path: &path, meta: &meta, stamp: None, size, sparse: false, length: size, part: None };
                        let mut stored = writer.append_file(&file, &mut content.as_bytes()).unwrap();
                        stored.located.archive = Some(id);
                        let content = Some(stored.located);
                        state.insert(path.clone(), IndexEntry { path, kind: Kind::File, meta, stamp: None, size, sparse: false, content });
                    }
                }
                let (sealed, bytes) = writer.finish().unwrap();
                let object = names::archive(time, id);
                opened.repository.storage.put_new(&object, bytes.into()).await.unwrap();
                let (length, sha256, header_sha256) = (sealed.length, sealed.sha256, sealed.header_sha256);
                let own = Some(OwnPlace { header: sealed.header_bytes, from: sealed.own_from });
                archives.push(ArchiveRecord { id, object, length, sha256, header_sha256, merged, own });
            }
            let mut snapshot = Snapshot {
                format: CURRENT,
                id: world.machine.id().unwrap(),
                time: started + jiff::SignedDuration::from_hours(number as i64),
                host: "host".into(),
                program: "test".into(),
                source: source.clone(),
                top: None,
                tags: Vec::new(),
                options: Vec::new(),
                writer: writer.id,
                chain,
                sequence: number as u64 + 1,
                parent: last.as_ref().map(|last| last.id),
                complete: true,
                counts: Done { entries: state.len() as u64, ..Done::default() },
                archives,
                borrowed: Vec::new(),
                lists: last.as_ref().map(|last| last.lists.clone()).unwrap_or_default(),
                packs: last.as_ref().map(|last| last.packs.clone()).unwrap_or_default(),
                stand_ins: Vec::new(),
            };
            opened.repository.commit(&mut snapshot, &writer).await.unwrap();
            last = Some(snapshot);
        }
        let storage = world.storage.with_counts(&counts);
        Self { world, counts, storage, machine: 0 }
    }

    /// A machine that was never here.
    pub fn newcomer(&mut self) -> StateFolder {
        self.machine += 1;
        self.state()
    }

    /// The newest machine.
    pub fn state(&self) -> StateFolder {
        let folder = self.world.root.path().join(format!("machine-{}", self.machine));
        StateFolder::open(folder, None).unwrap().with_cache(CacheUse::Always)
    }

    pub fn session(&self, state: StateFolder) -> Session {
        Session { unlock: Some(self.world.unlock()), ..Session::new(self.storage.clone(), state) }
    }

    /// What a command costs a machine that was never here, and then the same machine.
    async fn measure(&mut self, command: &str) -> [Cost; 2] {
        let mut costs = Vec::new();
        for is_cold in [true, false] {
            let state = if is_cold { self.newcomer() } else { self.state() };
            let session = self.session(state);
            self.counts.take();
            self.run(command, &session).await;
            let requests = self.counts.take();
            costs.push(cost(&requests));
        }
        costs.try_into().unwrap()
    }

    /// What a backup of one new file costs a machine that was never here, and then the same machine.
    async fn backups(&mut self) -> [Cost; 2] {
        let state = self.newcomer();
        let mut costs = Vec::new();
        for (number, state) in [state.clone(), state].into_iter().enumerate() {
            self.world.write(&format!("added/{number}"), format!("one more file, {number}").as_bytes());
            let source = FolderSource::open(&self.world.source(), FolderOptions::default()).unwrap();
            self.counts.take();
            let (made, said) = self.world.backup_in(&self.session(state), Arc::new(source)).await.unwrap();
            let requests = self.counts.take();
            costs.push(cost(&requests));
            assert_eq!(made.counts.problems, 0, "{said:?}");
            let put = requests.iter().filter(|request| request.method == "PUT" && !request.name.starts_with("packs/"));
            // The archive, and each of a snapshot's three objects twice.
            assert!(number == 0 || put.count() == 7, "{requests:?}");
        }
        costs.try_into().unwrap()
    }

    pub async fn run(&self, command: &str, session: &Session) {
        let (latest, all) = (SnapshotChoice::latest(), PathFilter::everything());
        let log = Arc::new(Log::default());
        match command {
            "snapshots" => {
                let found = look::snapshots(session, &Selection::default(), false).await.unwrap();
                assert!(found.broken.is_empty() && found.snapshots.len() >= 10);
            }
            "ls" => {
                let mut entries = 0;
                let each = |_: &EntryPath, _: &_| {
                    entries += 1;
                    Ok(())
                };
                look::ls(session, &latest, &[], &all, each).await.unwrap();
                assert!(entries > FILES);
            }
            "restore" => {
                let to = tempfile::tempdir_in(self.world.root.path()).unwrap();
                let options = restore_options(to.path(), vec![EntryPath::new("new/7").unwrap()]);
                let done = tgvault::operations::restore::restore(session, &latest, options, log, Stop::new()).await.unwrap();
                assert_eq!(done.problems, 0);
                assert_eq!(std::fs::read_to_string(to.path().join("new/7")).unwrap(), "content of new/7");
            }
            "find" => {
                let filter = PathFilter::new(&["/new/7".to_owned()], &[]).unwrap();
                let mut found = 0;
                let each = |_: &Snapshot, _: &EntryPath, _: &_| {
                    found += 1;
                    Ok(())
                };
                find::find(session, &Selection::default(), &filter, each).await.unwrap();
                assert!(found > 0);
            }
            "verify --quick" => {
                let options = VerifyOptions { quick: true, ..verify_options(false) };
                let report = verify(session, options, log, Stop::new()).await.unwrap();
                assert!(report.wrong.is_empty(), "{:?}", report.wrong);
            }
            other => panic!("{other}"),
        }
    }
}

/// What a command may cost, pages of listings apart: warm and cold.
const BOUNDS: [(&str, usize, usize); 5] =
    [("snapshots", 3, 40), ("ls", 6, 56), ("restore", 6, 56), ("find", 6, 80), ("verify --quick", 16, 40)];

/// What a backup of one new file may cost on a machine that made the last one, and on one that was never here.
const BACKUP: (usize, usize) = (12, 64);

/// What was counted, for who asks with `--nocapture`: docs/guide/performance.md has it.
#[expect(clippy::print_stdout, reason = "the test harness keeps it unless somebody asks")]
fn say(counted: std::fmt::Arguments<'_>) {
    println!("{counted}");
}

async fn within_the_bounds(snapshots: usize) {
    let mut vault = Aged::of(snapshots, Counts::default()).await;
    let mut missed = Vec::new();
    // Each listing once: of statements, slots, snapshots, second copies, archives, packs, and of everything.
    let pages = 6 + 2 * (vault.world.objects().await.len() / 1000);
    for (command, warm, cold) in BOUNDS {
        let [first, again] = vault.measure(command).await;
        say(format_args!("{snapshots} {command}: {first:?} {again:?}"));
        if again.others > warm || first.others > cold || again.pages > pages || first.pages > pages {
            missed.push((command, first, again));
        }
    }
    let [first, again] = vault.backups().await;
    say(format_args!("{snapshots} backup: {first:?} {again:?}"));
    // A thousand snapshots have thousands of names to list.
    let listed = (vault.world.objects().await.len() / 1000).saturating_sub(2);
    if again.pages + again.others > BACKUP.0 + listed || first.pages + first.others > BACKUP.1 {
        missed.push(("backup", first, again));
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_snapshots_cost_what_they_should() {
    within_the_bounds(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_snapshots_cost_what_they_should() {
    within_the_bounds(200).await;
}

/// As many as let packs of 256 come together.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_snapshots_cost_what_they_should() {
    within_the_bounds(300).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes to make them; tests/soak runs it"]
async fn a_thousand_snapshots_cost_what_they_should() {
    within_the_bounds(1000).await;
}

/// Requests that must wait for others, on a new machine and then on the same machine.
const CHAINS: [(&str, usize, usize); 4] = [("snapshots", 5, 1), ("ls", 6, 2), ("restore", 7, 3), ("find", 7, 2)];

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_wait_for_others() {
    // Longer than anything is computed between two requests.
    let quiet = std::time::Duration::from_millis(250);
    let mut vault = Aged::of(44, Counts::in_rounds(quiet)).await;
    let mut missed = Vec::new();
    for (command, cold, warm) in CHAINS {
        vault.counts.take_rounds();
        for (is_cold, most) in [(true, cold), (false, warm)] {
            let state = if is_cold { vault.newcomer() } else { vault.state() };
            vault.run(command, &vault.session(state)).await;
            let rounds = vault.counts.take_rounds();
            say(format_args!("{command}, cold {is_cold}: {rounds} steps"));
            if rounds > most {
                missed.push((command, is_cold, rounds));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
