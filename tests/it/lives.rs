//! Lives of a vault that forgets: two machines back up, snapshots are forgotten, archives are compacted, files are taken out, prunes mark and
//! delete, hours pass, calls to the store fail. After each step every snapshot that nobody forgot restores exactly.
//!
//! `TGVAULT_LIVES=10000` lives more of them; one that ends badly prints its seed, and `TGVAULT_SEED=17` lives it again.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tgvault::Vault;
use tgvault::model::entry::EntryPath;
use tgvault::model::filter::PathFilter;
use tgvault::operations::Session;
use tgvault::operations::compact::{CompactOptions, compact};
use tgvault::operations::events::Silent;
use tgvault::operations::forget::policy::Policy;
use tgvault::operations::forget::{ForgetOptions, forget};
use tgvault::operations::prune::{PruneOptions, prune, unlock};
use tgvault::operations::rewrite::{RewriteOptions, rewrite};
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::operations::{Stop, look};
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::state::StateFolder;
use tgvault::storage::{FaultKind, Faults, Storage};

use crate::prune::pass;
use crate::replay::{Dice, Told, change_in, each_seed};
use crate::support::{Log, World, tempdir, tree, wrong};

/// Lives in the gate.
const LIVES: u64 = 40;

/// What happens in one.
const STEPS: u64 = 12;

struct Life {
    world: World,
    dice: Dice,
    /// What each snapshot holds, by its id.
    known: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether files were taken out: then others may have fewer links.
    is_rewritten: bool,
    said: Vec<String>,
}

impl Life {
    fn session(&self, machine: u64, storage: &Storage) -> Session {
        let state = StateFolder::open(self.world.root.path().join(format!("machine-{machine}")), None).unwrap();
        Session { unlock: Some(self.world.unlock()), ..Session::new(storage.clone(), state) }
    }

    fn source(&self, machine: u64) -> std::path::PathBuf {
        self.world.root.path().join(format!("source-{machine}"))
    }

    /// The store, which may fail.
    fn store(&mut self, calls: u64) -> Storage {
        if self.dice.below(2) == 0 {
            return self.world.storage.clone();
        }
        let kind = self.dice.one_of(&[FaultKind::Refused, FaultKind::AnswerLost, FaultKind::UploadCut]);
        let n = self.dice.below(calls);
        let faults = if self.dice.below(2) == 0 { Faults::once(kind, n) } else { Faults::for_ever(kind, n) };
        self.said.push(format!("{kind:?} {n}"));
        self.world.storage.with_faults(&faults)
    }

    async fn backup(&mut self) {
        let machine = self.dice.below(2);
        change_in(&self.source(machine), &mut self.dice);
        let storage = self.store(60);
        let source = Arc::new(FolderSource::open(&self.source(machine), FolderOptions::default()).unwrap());
        let vault = Vault::from(self.session(machine, &storage));
        let host = format!("host-{machine}");
        let made = vault.backup(source).with(|options| (options.host, options.lanes) = (host, 1)).await;
        let now = tree(&self.source(machine));
        self.said.push(format!("backup {machine}: {}", made.is_ok()));
        match made {
            Ok(made) => {
                self.known.insert(made.snapshot.unwrap().to_string(), now);
            }
            // It may have been committed all the same.
            Err(_) => {
                for (id, complete) in self.listed().await {
                    if complete {
                        self.known.entry(id).or_insert_with(|| now.clone());
                    }
                }
            }
        }
    }

    async fn listed(&self) -> Vec<(String, bool)> {
        let found = look::snapshots(&self.session(9, &self.world.storage), &Selection::default(), true).await.unwrap();
        assert_eq!(found.broken, [""; 0], "{:?}", self.said);
        found.snapshots.iter().map(|row| (row.snapshot.id.to_string(), row.snapshot.complete)).collect()
    }

    async fn forget(&mut self) {
        let mut options = ForgetOptions::default();
        let ids: Vec<String> = self.known.keys().cloned().collect();
        if self.dice.below(2) == 0 && !ids.is_empty() {
            options.named.push(ids[self.dice.below(ids.len() as u64) as usize].clone());
        } else {
            options.policy = Policy { last: 1 + self.dice.below(3), ..Policy::default() };
        }
        let storage = self.store(30);
        let machine = self.dice.below(2);
        let done = forget(&self.session(machine, &storage), &options).await;
        self.said.push(format!("forget {:?}: {}", options.named, done.is_ok()));
        let listed: Vec<String> = self.listed().await.into_iter().map(|(id, _)| id).collect();
        if let Ok(done) = &done {
            assert!(done.forgotten().all(|gone| !listed.contains(&gone.id.to_string())), "{:?}", self.said);
            let kept = done.judged.iter().filter(|judged| !judged.kept_because.is_empty());
            assert!(kept.clone().all(|kept| listed.contains(&kept.id.to_string())), "{:?}", self.said);
        }
        // A record may have been written all the same.
        self.known.retain(|id, _| listed.contains(id));
    }

    async fn prune(&mut self) {
        let hours = self.dice.one_of(&[0, 2, 24]);
        let options = PruneOptions { grace: Duration::from_secs(hours * 3600), is_alone: true, ..PruneOptions::default() };
        let storage = self.store(80);
        let machine = self.dice.below(2);
        let done = prune(&self.session(machine, &storage), &options, Stop::new()).await;
        self.said.push(format!("prune {hours}: {:?}", done.map(|done| (done.deleted.objects, done.marked.objects))));
        unlock(&self.session(9, &self.world.storage), true).await.unwrap();
    }

    async fn compact(&mut self) {
        let max_unused_percent = self.dice.one_of(&[0, 20, 90]) as f64;
        let small_bytes = self.dice.one_of(&[0, 2_000, 1 << 24]);
        let options = CompactOptions { max_unused_percent, small_bytes, ..CompactOptions::default() };
        let storage = self.store(120);
        let machine = self.dice.below(2);
        let done = compact(&self.session(machine, &storage), &options, Arc::new(Silent), Stop::new()).await;
        self.said.push(format!("compact {max_unused_percent} {small_bytes}: {:?}", done.map(|done| (done.replaced, done.written))));
        unlock(&self.session(9, &self.world.storage), true).await.unwrap();
    }

    async fn rewrite(&mut self) {
        let goes = self.dice.one_of(&["a", "b", "c", "/deep", "er", "e"]);
        let options =
            |dry_run| RewriteOptions { exclude: PathFilter::new(&[], &[goes]).unwrap(), chats: Vec::new(), dry_run, host: String::new() };
        let storage = self.store(120);
        let machine = self.dice.below(2);
        let done = rewrite(&self.session(machine, &storage), &options(false), Arc::new(Silent), Stop::new()).await;
        unlock(&self.session(9, &self.world.storage), true).await.unwrap();
        // A record may have been written all the same.
        let left = rewrite(&self.session(9, &self.world.storage), &options(true), Arc::new(Silent), Stop::new()).await;
        let is_out = left.is_ok_and(|left| left.compact.excluded == (0, 0));
        self.said.push(format!("rewrite {goes}: {:?}, out: {is_out}", done.as_ref().map(|done| done.compact.excluded)));
        assert!(done.is_err() || is_out, "{:?}", self.said);
        if is_out {
            let filter = options(true).exclude;
            let stays = |path: &String| filter.takes(&EntryPath::new(path.as_str()).unwrap());
            self.known.values_mut().for_each(|tree| tree.retain(|path, _| stays(path)));
            self.is_rewritten = true;
        }
    }

    /// Every snapshot that nobody forgot is there and restores exactly.
    async fn check(&self) {
        let session = self.session(9, &self.world.storage);
        let listed: Vec<String> = self.listed().await.into_iter().map(|(id, _)| id).collect();
        for (id, expected) in &self.known {
            assert!(listed.contains(id), "{id} is gone: {:?}", self.said);
            let to = tempdir();
            let choice = SnapshotChoice { wanted: id.clone(), among: Selection::default() };
            let done = Vault::from(session.clone()).restore(choice, to.path()).events(Arc::new(Log::default())).await;
            assert!(done.is_ok_and(|done| done.problems == 0 && done.damaged == 0), "{id}: {:?}", self.said);
            let (mut found, mut expected) = (tree(to.path()), expected.clone());
            if self.is_rewritten {
                let links = |said: &mut String| said.truncate(said.find(" links ").unwrap_or(said.len()));
                found.values_mut().chain(expected.values_mut()).for_each(links);
            }
            assert_eq!(found, expected, "{id}: {:?}", self.said);
        }
        let report = self.world.verify_in(&session, false).await.unwrap();
        assert_eq!(wrong(&report), [""; 0], "{:?}", self.said);
    }
}

async fn live(seed: u64) {
    let _told = Told(seed);
    let world = World::new().await;
    let mut life = Life { world, dice: Dice(seed), known: BTreeMap::new(), is_rewritten: false, said: Vec::new() };
    for machine in 0..2 {
        fs::create_dir(life.source(machine)).unwrap();
    }
    for _ in 0..STEPS {
        match life.dice.below(11) {
            0..3 => life.backup().await,
            3 | 4 => life.forget().await,
            5 | 6 => life.prune().await,
            7 | 8 => life.compact().await,
            9 => life.rewrite().await,
            _ => {
                let hours = life.dice.one_of(&[1, 3, 25]);
                life.said.push(format!("{hours} hours"));
                pass(&life.world, hours);
            }
        }
        life.check().await;
    }
    // In the end nothing is left of what was forgotten.
    let options = PruneOptions { grace: Duration::ZERO, is_alone: true, ..PruneOptions::default() };
    prune(&life.session(0, &life.world.storage), &options, Stop::new()).await.unwrap_or_else(|error| panic!("{error}: {:?}", life.said));
    life.check().await;
}

#[test]
fn whatever_is_kept_restores_exactly() {
    let alone = |seed| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(seed));
    let lives = std::env::var("TGVAULT_LIVES").map_or(LIVES, |lives| lives.parse().unwrap());
    each_seed(lives, alone);
}
