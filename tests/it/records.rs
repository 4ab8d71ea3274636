//! Records: what was forgotten, signed with the root key. Who has not that key forgets nothing.

use std::sync::Arc;

use tgvault::crypt::signature::SigningKey;
use tgvault::operations::look;
use tgvault::operations::snapshot::choice::Selection;
use tgvault::repository::Repository;
use tgvault::repository::format::names;
use tgvault::repository::format::record::{Forgotten, Known};
use tgvault::repository::keys::unlock;
use tgvault::storage::{FaultKind, Faults};

use crate::support::{World, tree, wrong};

/// A world with three snapshots, its repository, and what its root key signs with.
async fn world() -> (World, Repository, Arc<tgvault::repository::keys::Identity>) {
    let world = World::in_memory().await;
    for content in ["first", "second", "third"] {
        world.write("a", content.as_bytes());
        world.backup().await;
    }
    let identity = unlock(&world.storage, world.report.repository, &world.unlock()).await.unwrap();
    let repository = world.session(&world.storage, None).open().await.unwrap().repository;
    (world, repository, identity)
}

/// What a record says that the snapshots with these places are forgotten.
async fn forgetting(repository: &Repository, places: &[usize]) -> Vec<Known> {
    let refs = repository.snapshot_refs().await.unwrap();
    let found: Vec<_> = refs.into_iter().map(|(_, found)| found.unwrap()).collect();
    let snapshots = places.iter().map(|&at| (found[at].stem.clone(), found[at].signed.sequence)).collect();
    vec![Known::Forgotten(Forgotten { chain: found[0].signed.chain, snapshots })]
}

async fn listed(world: &World) -> (Vec<u64>, Vec<String>) {
    let found = look::snapshots(&world.session(&world.storage, Some(world.unlock())), &Selection::default(), true).await.unwrap();
    (found.snapshots.iter().map(|row| row.snapshot.sequence).collect(), found.broken)
}

/// Removes what belongs to a snapshot, as prune does.
async fn remove(world: &World, stem: &str) {
    for name in world.objects().await.into_keys().filter(|name| name.contains(stem)) {
        world.storage.delete(&name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_record_forgets_is_gone_for_everybody_and_missed_by_nobody() {
    let (world, mut repository, identity) = world().await;
    let stems = repository.snapshot_stems().await.unwrap();
    let says = forgetting(&repository, &[1, 2]).await;
    repository.put_record(&identity.root_key, says).await.unwrap();
    assert_eq!(listed(&world).await, (vec![1], vec![]));
    let first = world.restored().await;
    assert!(first["a"].contains("a7937b64b8caa58f"), "{first:?}");
    for stem in &stems[1..] {
        remove(&world, stem).await;
    }
    let report = world.verify(true).await;
    assert_eq!(wrong(&report), [""; 0]);
    // The next backup goes on from what it knows, with a number that nobody had.
    world.write("b", b"more");
    world.backup().await;
    assert_eq!(listed(&world).await, (vec![1, 4], vec![]));
    assert_eq!(world.restored().await, tree(&world.source()));
    assert_eq!(wrong(&world.verify(true).await), [""; 0]);
}

/// Its writer may die between any two puts, and another record may follow: neither looks like damage.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_cut_short_is_completed_by_the_next() {
    let mut cut = 0;
    for n in 0..12 {
        let (world, mut repository, identity) = world().await;
        let says = forgetting(&repository, &[1]).await;
        let faulty = world.session(&world.storage.with_faults(&Faults::for_ever(FaultKind::Refused, n)), None);
        if let Ok(opened) = faulty.open().await {
            cut += usize::from(opened.repository.with_fresh_records().put_record(&identity.root_key, says).await.is_err());
        }
        assert_eq!(wrong(&world.verify(true).await), [""; 0], "{n}");
        let says = forgetting(&repository, &[0]).await;
        repository.put_record(&identity.root_key, says).await.unwrap();
        assert_eq!(wrong(&world.verify(true).await), [""; 0], "{n}");
        assert!(listed(&world).await.0.ends_with(&[3]), "{n}");
    }
    assert!(cut > 3, "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_record_a_missing_number_is_reported() {
    let (world, repository, _) = world().await;
    remove(&world, &repository.snapshot_stems().await.unwrap()[1]).await;
    let (numbers, broken) = listed(&world).await;
    assert_eq!(numbers, [1, 3]);
    assert!(broken[0].contains("snapshots 2 are gone"), "{broken:?}");
    assert!(wrong(&world.verify(false).await).iter().any(|said| said.contains("snapshots 2 are gone")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_by_another_key_forgets_nothing_and_is_reported() {
    let (world, mut repository, _) = world().await;
    let says = forgetting(&repository, &[2]).await;
    let stem = repository.put_record(&SigningKey::generate().unwrap(), says).await.unwrap();
    let (numbers, broken) = listed(&world).await;
    assert_eq!(numbers, [1, 2, 3]);
    assert!(broken.iter().any(|said| said.contains(&stem) && said.contains("root key has not signed")), "{broken:?}");
    assert!(wrong(&world.verify(false).await).iter().any(|said| said.contains(&stem)));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_become_few_and_one_lost_copy_is_put_back() {
    let (world, mut repository, identity) = world().await;
    let says = forgetting(&repository, &[0]).await;
    let mut stems = Vec::new();
    for _ in 0..20 {
        stems.push(repository.put_record(&identity.root_key, says.clone()).await.unwrap());
    }
    let records = repository.records().await.unwrap();
    assert_eq!(records.stems().count(), 20);
    assert_eq!(stems.iter().filter(|stem| !records.is_superseded(stem)).count(), 4);
    // The one that repeats the others is enough.
    for stem in stems.iter().filter(|stem| records.is_superseded(stem)) {
        remove(&world, stem).await;
    }
    let lost = names::record(&stems[18]);
    world.storage.delete(&lost).await.unwrap();
    assert!(wrong(&world.verify(false).await).iter().any(|said| said.contains(&lost)));
    assert_eq!(listed(&world).await, (vec![2, 3], vec![]));
    world.backup().await;
    assert_eq!(wrong(&world.verify(false).await), [""; 0]);
}
