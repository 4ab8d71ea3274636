//! Whatever a user does to a folder between backups, recovery makes what `restore` makes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};

use tgvault::model::filter::PathFilter;
use tgvault::operations::Stop;
use tgvault::operations::compact::{CompactOptions, compact};
use tgvault::operations::events::Silent;
use tgvault::operations::forget::policy::Policy;
use tgvault::operations::forget::{ForgetOptions, forget};
use tgvault::operations::prune::{PruneOptions, prune};
use tgvault::operations::rewrite::{RewriteOptions, rewrite};

use crate::support::{World, noise};
use crate::vault::{Vault, look};

/// What a user may do to a folder between two backups; numbers are places in [`PLACES`].
#[derive(Clone, Debug)]
enum Change {
    Write(usize, u64, usize),
    Folder(usize),
    Symlink(usize, usize),
    Link(usize, usize),
    Delete(usize),
    Rename(usize, usize),
    Swap(usize, usize),
    Mode(usize, u32),
    Time(usize, i64, u32),
}

/// Paths that shells, tar and lists stumble over; several are folders of others, so that kinds change.
const PLACES: [&[u8]; 18] = [
    b"a",
    b"a/b",
    b"a/-b",
    b"a/b/c",
    b"a-b",
    b"-rf",
    b"-rf/--",
    b"new\nline",
    b"new\nline/end\n",
    b"new\nline/\n",
    b"sp ace/ ",
    b"sp ace/*",
    b"d/\xff\xfe",
    b"d/back\\slash\\n",
    b"d/$(touch x)`id`'\"",
    b"d/d",
    b"d/d/copy",
    b"~",
];

fn any_change() -> impl Strategy<Value = Change> {
    let place = || 0..PLACES.len();
    let length = prop::sample::select(vec![0_usize, 1, 511, 4096, 100_000, 600_000]);
    prop_oneof![
        6 => (place(), 0_u64..4, length).prop_map(|(at, seed, length)| Change::Write(at, seed, length)),
        1 => place().prop_map(Change::Folder),
        2 => (place(), place()).prop_map(|(at, to)| Change::Symlink(at, to)),
        2 => (place(), place()).prop_map(|(first, at)| Change::Link(first, at)),
        2 => place().prop_map(Change::Delete),
        3 => (place(), place()).prop_map(|(from, to)| Change::Rename(from, to)),
        3 => (place(), place()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => (place(), prop::sample::select(vec![0o600, 0o4755, 0o444, 0o2750])).prop_map(|(at, mode)| Change::Mode(at, mode)),
        1 => (place(), -3_i64..3, 0_u32..1_000_000_000).prop_map(|(at, seconds, nanos)| Change::Time(at, seconds, nanos)),
    ]
}

fn remove(at: &Path) {
    match at.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(at).unwrap(),
        Ok(_) => fs::remove_file(at).unwrap(),
        Err(_) => {}
    }
}

/// Makes the folders above a place, whatever stands in their way, and clears the place.
fn clear(source: &Path, place: &Path) -> PathBuf {
    let mut above = source.to_owned();
    for component in place.parent().into_iter().flat_map(Path::components) {
        above.push(component);
        if !above.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            remove(&above);
            fs::create_dir(&above).unwrap();
        }
    }
    let at = source.join(place);
    remove(&at);
    at
}

/// Whether something stands at a place, reached without symbolic links.
fn stands(source: &Path, place: &Path) -> bool {
    let direct = place.ancestors().skip(1).all(|above| source.join(above).symlink_metadata().is_ok_and(|meta| meta.is_dir()));
    direct && source.join(place).symlink_metadata().is_ok()
}

fn is_file(at: &Path) -> bool {
    at.symlink_metadata().is_ok_and(|meta| meta.is_file())
}

fn change(source: &Path, change: &Change) {
    let place = |number: usize| PathBuf::from(OsString::from_vec(PLACES[number].to_vec()));
    let apart = |a: &Path, b: &Path| !a.starts_with(b) && !b.starts_with(a);
    match *change {
        Change::Write(at, seed, length) => fs::write(clear(source, &place(at)), noise(seed, length)).unwrap(),
        Change::Folder(at) => fs::create_dir(clear(source, &place(at))).unwrap(),
        Change::Symlink(at, to) => symlink(OsStr::from_bytes(PLACES[to]), clear(source, &place(at))).unwrap(),
        Change::Delete(at) if stands(source, &place(at)) => remove(&source.join(place(at))),
        Change::Link(first, at)
            if apart(&place(first), &place(at)) && stands(source, &place(first)) && is_file(&source.join(place(first))) =>
        {
            let at = clear(source, &place(at));
            if stands(source, &place(first)) {
                fs::hard_link(source.join(place(first)), at).unwrap();
            }
        }
        Change::Rename(from, to) if apart(&place(from), &place(to)) && stands(source, &place(from)) => {
            let to = clear(source, &place(to));
            if stands(source, &place(from)) {
                fs::rename(source.join(place(from)), to).unwrap();
            }
        }
        Change::Swap(a, b) if apart(&place(a), &place(b)) && stands(source, &place(a)) && stands(source, &place(b)) => {
            let (a, b, between) = (source.join(place(a)), source.join(place(b)), source.join("between"));
            fs::rename(&a, &between).unwrap();
            fs::rename(&b, &a).unwrap();
            fs::rename(&between, &b).unwrap();
        }
        Change::Mode(at, mode) if stands(source, &place(at)) && is_file(&source.join(place(at))) => {
            fs::set_permissions(source.join(place(at)), fs::Permissions::from_mode(mode)).unwrap();
        }
        Change::Time(at, seconds, nanos) if stands(source, &place(at)) && is_file(&source.join(place(at))) => {
            let epoch = SystemTime::UNIX_EPOCH;
            let whole =
                if seconds < 0 { epoch - Duration::from_secs(seconds.unsigned_abs()) } else { epoch + Duration::from_secs(seconds as u64) };
            let file = fs::File::options().read(true).open(source.join(place(at))).unwrap();
            file.set_modified(whole + Duration::from_nanos(nanos.into())).unwrap();
        }
        _ => {}
    }
}

/// Forgets all snapshots but the last, puts few archives in the place of many, and deletes what nothing needs then.
async fn compact_all(world: &World) {
    let session = world.session(&world.storage, Some(world.unlock()));
    let options = ForgetOptions { policy: Policy { last: 1, ..Policy::default() }, ..ForgetOptions::default() };
    forget(&session, &options).await.unwrap();
    let options = CompactOptions { max_unused_percent: 0.0, ..CompactOptions::default() };
    compact(&session, &options, Arc::new(Silent), Stop::new()).await.unwrap();
    let options = PruneOptions { grace: Duration::ZERO, is_alone: true, ..PruneOptions::default() };
    prune(&session, &options, Stop::new()).await.unwrap();
}

/// `compacted` says after which runs the vault is compacted.
async fn runs_come_back(runs: &[Vec<Change>], compacted: &[bool]) {
    let vault = Vault::new().await;
    let source = vault.world.source();
    for (changes, is_compacted) in runs.iter().zip(compacted) {
        for one in changes {
            change(&source, one);
        }
        assert_eq!(vault.world.backup().await.counts.problems, 0);
        if *is_compacted {
            compact_all(&vault.world).await;
        }
    }
    assert_eq!(vault.both().await, look(&source));
}

#[test]
fn recovery_makes_what_restore_makes() {
    needs_tools!();
    let config = Config { cases: 16, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let runs =
        (prop::collection::vec(prop::collection::vec(any_change(), 1..24), 1..5), prop::collection::vec(prop::bool::weighted(0.3), 5));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    proptest::test_runner::TestRunner::new(config)
        .run(&runs, |(runs, compacted)| {
            let work = std::panic::AssertUnwindSafe(|| runtime.block_on(runs_come_back(&runs, &compacted)));
            std::panic::catch_unwind(work).map_err(|_| TestCaseError::fail("a vault did not come back as it was"))
        })
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_once_stumbled_over() {
    needs_tools!();
    use Change::{Delete, Link, Rename, Swap, Symlink, Write};
    // A folder becomes a link, a link a folder; first names of hard links go; two folders swap; contents come back.
    let runs = vec![
        vec![Write(1, 1, 4096), Write(8, 2, 100_000), Link(8, 6), Write(13, 3, 600_000), Write(16, 1, 4096)],
        vec![Symlink(0, 15), Delete(8), Swap(5, 15), Write(17, 2, 100_000)],
        vec![Write(3, 1, 4096), Rename(5, 7), Link(17, 13), Write(17, 3, 600_000)],
        vec![Link(13, 17), Symlink(5, 0), Delete(0)],
    ];
    runs_come_back(&runs, &[false; 4]).await;
    runs_come_back(&runs, &[false, true, false, false]).await;
    runs_come_back(&runs, &[true, false, true, true]).await;
}

/// What was taken out of every snapshot is in none of what stock tools find, and the rest is.
#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_vault_comes_back_without_what_went() {
    needs_tools!();
    let vault = Vault::new().await;
    let (world, source) = (&vault.world, vault.world.source());
    for number in 0..3_u8 {
        world.write("goes/with all", &[number; 5_000]);
        world.write("goes too", &[number + 10; 200_000]);
        world.write("stays", &[number + 20; 3_000]);
        world.write(&format!("stays/{number}").replace('/', "-"), &[10; 200_000]);
        world.backup().await;
    }
    let session = world.session(&world.storage, Some(world.unlock()));
    let exclude = PathFilter::new(&[], &["goes", "goes too"]).unwrap();
    let options = RewriteOptions { exclude, chats: Vec::new(), dry_run: false, host: String::new() };
    rewrite(&session, &options, Arc::new(Silent), Stop::new()).await.unwrap();
    fs::remove_dir_all(source.join("goes")).unwrap();
    fs::remove_file(source.join("goes too")).unwrap();
    assert_eq!(vault.both().await, look(&source));
    let options = PruneOptions { grace: Duration::ZERO, is_alone: true, ..PruneOptions::default() };
    prune(&session, &options, Stop::new()).await.unwrap();
    assert_eq!(vault.both().await, look(&source));
}
