//! Lives of a vault, replayed from a seed: backup, crash, backup, restore. The seed decides what is backed up and how it changes,
//! which call to the store fails and how, and every name and time that the runs make up.
//!
//! A replay that fails prints its seed; `TGVAULT_SEED=17 cargo test --test it replay` lives that life alone.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tgvault::storage::{FaultKind, Faults};

use crate::faults::{check_committed, check_recovered};
use crate::support::{World, noise, tree};

const SEEDS: u64 = 500;

/// A backup of these small folders makes about as many calls to the store.
const CALLS: u64 = 40;

/// SplitMix64: the life's own dice, so that names that the runs make up change nothing of it.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Says which life it was when it ends badly.
pub struct Told(pub u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(io::stderr(), "the life of seed {0} ended badly; live it again with TGVAULT_SEED={0}", self.0);
        }
    }
}

/// Makes, changes and removes a few entries, each of a few kinds.
pub fn change_in(source: &Path, dice: &mut Dice) {
    let names = ["a", "b", "deep/c", "deep/er/d", "e"];
    for _ in 0..=dice.below(5) {
        let name = dice.one_of(&names);
        let path = source.join(name);
        let other = source.join(dice.one_of(&names));
        // What stands there is one thing at most, and nothing is below a file.
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
        for above in path.ancestors().skip(1).take_while(|above| *above != source) {
            if above.is_file() || above.is_symlink() {
                fs::remove_file(above).unwrap();
            }
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match dice.below(6) {
            0 => {}
            1 => fs::create_dir(&path).unwrap(),
            2 => std::os::unix::fs::symlink("a", &path).unwrap(),
            3 if other.is_file() && !other.is_symlink() => fs::hard_link(&other, &path).unwrap(),
            // Few lengths and few contents, so that some are met again.
            _ => fs::write(&path, noise(dice.below(4), dice.one_of(&[0, 10, 5_000, 60_000]))).unwrap(),
        }
    }
}

fn change(world: &World, dice: &mut Dice) {
    change_in(&world.source(), dice);
}

/// Lives one life; gives what it left in the store, by name, and how often its faulty run called the store.
async fn live(seed: u64) -> (Vec<String>, u64) {
    let _told = Told(seed);
    let mut dice = Dice(seed);
    let world = World::seeded(seed).await;
    for _ in 0..=dice.below(2) {
        change(&world, &mut dice);
        world.backup().await;
    }
    change(&world, &mut dice);
    let kind = dice.one_of(&[FaultKind::Refused, FaultKind::AnswerLost, FaultKind::BodyCut, FaultKind::UploadCut]);
    let (n, is_for_ever) = (dice.below(CALLS), dice.below(2) == 0);
    let faults = if is_for_ever { Faults::for_ever(kind, n) } else { Faults::once(kind, n) };
    let way = format!("seed {seed}, {kind:?} {} {n}", if is_for_ever { "from" } else { "at" });
    let crashed = world.backup_to(&world.storage.with_faults(&faults)).await;
    check_committed(&world, &way).await;
    if crashed.is_ok() {
        assert_eq!(world.restored().await, tree(&world.source()), "{way}");
    }
    if dice.below(2) == 0 {
        change(&world, &mut dice);
    }
    world.backup().await;
    check_recovered(&world, &way).await;
    // Statements of trust are named by their content, which has keys in it: those come from the system, whatever the seed.
    let named =
        |name: String| if name.contains("root/") { name.split_once('-').map_or(name.clone(), |(number, _)| number.into()) } else { name };
    (world.objects().await.into_keys().map(named).collect(), faults.calls())
}

/// Runs one life on one thread, so that nothing depends on which of two is faster.
fn live_alone(seed: u64) -> (Vec<String>, u64) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(seed))
}

/// Lives one life for each seed below `count`, as many at a time as there are processors; with `TGVAULT_SEED`, that one alone.
pub fn each_seed(count: u64, one: impl Fn(u64) + Sync) {
    if let Ok(seed) = std::env::var("TGVAULT_SEED") {
        return one(seed.parse().unwrap());
    }
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    one(seed);
                }
            });
        }
    });
}

#[test]
fn every_life_ends_well() {
    each_seed(SEEDS, |seed| drop(live_alone(seed)));
}

#[test]
fn a_seed_lives_the_same_life_again() {
    for seed in [1, 2, 3] {
        let (first, second) = (live_alone(seed), live_alone(seed));
        assert_eq!(first, second, "seed {seed}");
    }
}
