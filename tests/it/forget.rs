//! Forget: what a policy keeps, and what it never forgets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tgvault::operations::OperationError;
use tgvault::operations::forget::policy::{Period, Policy};
use tgvault::operations::forget::{ForgetOptions, ForgetReport, forget};
use tgvault::operations::look;
use tgvault::operations::snapshot::choice::Selection;
use tgvault::repository::{Clock, Machine, Random};

use crate::support::{World, tree, wrong};

/// Hours before now.
#[derive(Clone, Default)]
struct Ago(Arc<AtomicI64>);

impl Clock for Ago {
    fn now(&self) -> Timestamp {
        Timestamp::now() - SignedDuration::from_hours(self.0.load(Ordering::SeqCst))
    }
}

struct System;

impl Random for System {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(bytes).map_err(std::io::Error::other)
    }
}

/// A world with a snapshot for each of these hours ago.
async fn world(hours: &[i64]) -> World {
    let ago = Ago::default();
    let mut world = World::in_memory().await;
    world.machine = Machine::new(ago.clone(), System);
    for (number, hours) in hours.iter().enumerate() {
        ago.0.store(*hours, Ordering::SeqCst);
        world.write("a", format!("number {number}").as_bytes());
        world.backup().await;
    }
    ago.0.store(0, Ordering::SeqCst);
    world
}

async fn forgetting(world: &World, options: ForgetOptions) -> Result<ForgetReport, OperationError> {
    forget(&world.session(&world.storage, Some(world.unlock())), &options).await
}

fn policy(policy: Policy) -> ForgetOptions {
    ForgetOptions { policy, ..ForgetOptions::default() }
}

/// The numbers of the snapshots there are, their ids, and what is said to be wrong.
async fn left(world: &World) -> (Vec<u64>, Vec<String>) {
    let found = look::snapshots(&world.session(&world.storage, Some(world.unlock())), &Selection::default(), true).await.unwrap();
    assert_eq!(found.broken, [""; 0]);
    found.snapshots.iter().map(|row| (row.snapshot.sequence, row.snapshot.id.to_string())).unzip()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_why_each_is_kept_and_a_dry_run_forgets_nothing() {
    let world = world(&[24 * 40, 24 * 3 + 1, 24 * 3, 24 * 2, 1]).await;
    let options = policy(Policy { last: 1, within: Some(std::time::Duration::from_secs(50 * 3600)), ..Policy::default() });
    let said = forgetting(&world, ForgetOptions { dry_run: true, ..options.clone() }).await.unwrap();
    let reasons: Vec<String> = said.judged.iter().map(|judged| judged.kept_because.join("+")).collect();
    assert_eq!(reasons, ["", "", "", "within", "last+within"]);
    assert!(said.record.is_none());
    assert_eq!(left(&world).await.0, [1, 2, 3, 4, 5]);
    let done = forgetting(&world, options).await.unwrap();
    assert_eq!((done.forgotten().count(), done.record.is_some()), (3, true));
    assert_eq!(left(&world).await.0, [4, 5]);
    assert_eq!(wrong(&world.verify(true).await), [""; 0]);
    assert_eq!(world.restored().await, tree(&world.source()));
}

/// The newest snapshot lost an archive: the last that is whole stays too, whatever the policy says.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_whole_snapshot_of_a_source_is_never_forgotten_by_a_policy() {
    let world = world(&[300, 200, 100]).await;
    let identity = world.unlock();
    let opened = world.session(&world.storage, Some(identity)).open().await.unwrap();
    let mut archives = Vec::new();
    let each = |_, snapshot: tgvault::repository::format::snapshot::Snapshot| archives.push(snapshot.archives);
    opened.repository.each_snapshot(&opened.identity().unwrap().identities, each).await.unwrap();
    let newest = archives.pop().unwrap();
    let only = newest.iter().find(|record| !archives.iter().flatten().any(|other| other.id == record.id)).unwrap();
    world.storage.delete(&only.object).await.unwrap();
    let done =
        forgetting(&world, policy(Policy { periods: vec![(Period::Hour, 0)], tags: vec!["none".into()], ..Policy::default() })).await;
    assert_eq!(done.unwrap().forgotten().count(), 1);
    assert_eq!(left(&world).await.0, [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_named_goes_also_the_last_of_its_source() {
    let world = world(&[30, 20, 10]).await;
    let (_, ids) = left(&world).await;
    let named = |ids: &[String]| ForgetOptions { named: ids.to_vec(), ..ForgetOptions::default() };
    assert!(forgetting(&world, named(&["ffffffffffffffff".into()])).await.is_err());
    let done = forgetting(&world, named(&ids[1..])).await.unwrap();
    assert!(done.last_of_source.is_empty());
    let done = forgetting(&world, named(&ids[..1])).await.unwrap();
    assert_eq!(done.last_of_source.len(), 1);
    assert_eq!(left(&world).await.0, [0; 0]);
    world.backup().await;
    assert_eq!(left(&world).await.0, [4]);
    assert_eq!(world.restored().await, tree(&world.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_key_forgets_nothing() {
    let world = world(&[30, 20]).await;
    let options = policy(Policy { last: 1, ..Policy::default() });
    let refused = forget(&world.session(&world.storage, None), &options).await;
    assert!(matches!(refused, Err(OperationError::KeyNeeded)));
    assert_eq!(left(&world).await.0, [1, 2]);
}
