use proptest::prelude::*;

use super::super::format::root::{Later, Revocation, RootRecipient, Slot, SlotKind, Writer};
use super::super::keys::Identity;
use super::super::{Machine, Repository};
use super::*;
use crate::storage::Faults;

const NOW: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

fn writer(number: u8) -> Writer {
    Writer::new(Id([number; 16]), SigningKey::generate().unwrap().public().clone())
}

async fn repository() -> (Identity, Repository) {
    let identity = Identity::generate(Id([9; 16])).unwrap();
    let storage = Storage::open("memory://", [], Default::default()).unwrap();
    let repository = Repository::init(storage, &identity, Vec::new(), writer(1), &Machine::default()).await.unwrap();
    (identity, repository)
}

async fn writers(storage: &Storage, id: Id) -> Vec<u8> {
    let trust = load(storage, id, &Anchor::AsFound).await.unwrap();
    let mut writers: Vec<u8> = trust.root.writers.iter().map(|writer| writer.id.0[0]).collect();
    writers.sort_unstable();
    writers
}

/// Each of the machines has read the statements before any of them makes its own.
async fn authorise_at_once(repository: &Repository, identity: &Identity, machines: std::ops::RangeInclusive<u8>) {
    let trust = load(&repository.storage, repository.id, &Anchor::Last(identity.root_key.public().clone())).await.unwrap();
    let all =
        machines.map(|number| amend(&repository.storage, &trust, &identity.root_key, NOW, move |root| root.writers.push(writer(number))));
    for done in futures::future::join_all(all).await {
        done.unwrap();
    }
}

#[tokio::test]
async fn machines_that_opened_the_repository_together_are_all_authorised() {
    let (identity, repository) = repository().await;
    authorise_at_once(&repository, &identity, 2..=17).await;
    assert_eq!(writers(&repository.storage, repository.id).await, (1..=17).collect::<Vec<u8>>());
    // The next one who makes a statement merges them all.
    authorise_at_once(&repository, &identity, 18..=18).await;
    let trust = load(&repository.storage, repository.id, &Anchor::AsFound).await.unwrap();
    assert_eq!((trust.heads.len(), trust.root.writers.len()), (1, 18));
}

#[tokio::test]
async fn also_on_a_store_that_ignores_every_condition() {
    let (identity, mut repository) = repository().await;
    repository.storage = repository.storage.with_faults(&Faults::overwriting());
    authorise_at_once(&repository, &identity, 2..=17).await;
    assert_eq!(writers(&repository.storage, repository.id).await, (1..=17).collect::<Vec<u8>>());
}

/// What a machine knows is not asked for again, and what a statement stands on is not read.
#[tokio::test]
async fn opening_costs_a_listing_and_what_is_new() {
    let (identity, mut repository) = repository().await;
    for number in 2..=9 {
        repository.enroll(&identity, writer(number)).await.unwrap();
    }
    let calls = async |anchor: &Anchor| {
        let faults = Faults::none();
        let trust = load(&repository.storage.with_faults(&faults), repository.id, anchor).await.unwrap();
        assert_eq!(trust.root.writers.len(), 9);
        faults.calls()
    };
    let root_key = identity.root_key.public().clone();
    // Both listings, one statement and its signature.
    assert_eq!(calls(&Anchor::Last(root_key.clone())).await, 4);
    assert_eq!(calls(&Anchor::Pinned { root_key, number: 0, heads: repository.trust.heads.clone() }).await, 1);
}

#[tokio::test]
async fn what_was_seen_must_stay() {
    let (identity, mut repository) = repository().await;
    let before = repository.trust.heads.clone();
    repository.enroll(&identity, writer(2)).await.unwrap();
    let root_key = identity.root_key.public().clone();
    let pinned = |heads| Anchor::Pinned { root_key: root_key.clone(), number: 0, heads };
    load(&repository.storage, repository.id, &pinned(before)).await.unwrap();
    let newest = repository.trust.heads[0].name.clone();
    for name in [newest.clone(), names::mirror(&newest)] {
        repository.storage.delete(&name).await.unwrap();
    }
    let gone = load(&repository.storage, repository.id, &pinned(repository.trust.heads.clone())).await;
    assert!(matches!(&gone, Err(RepositoryError::Trust(why)) if why.contains("set back")), "{gone:?}");
}

/// A statement that is there and damaged stops everybody, until a new one stands on the others.
#[tokio::test]
async fn damage_is_passed_over_only_when_asked() {
    let (identity, repository) = repository().await;
    authorise_at_once(&repository, &identity, 2..=3).await;
    let storage = &repository.storage;
    let trust = load(storage, repository.id, &Anchor::AsFound).await.unwrap();
    let damaged = trust.heads.iter().find(|head| head.text.contains(&Id([2; 16]).to_string())).unwrap().name.clone();
    for name in [damaged.clone(), names::mirror(&damaged)] {
        storage.delete(&name).await.unwrap();
        storage.put_new(&name, Bytes::from_static(b"{}")).await.unwrap();
    }
    let error = load(storage, repository.id, &Anchor::AsFound).await.unwrap_err();
    assert!(error.is_integrity(), "{error}");
    let left = salvage(storage, repository.id, identity.root_key.public()).await.unwrap();
    assert_eq!(left.lost.len(), 1);
    amend(storage, &left, &identity.root_key, NOW, |_| ()).await.unwrap();
    assert_eq!(writers(storage, repository.id).await, [1, 3]);
}

/// Numbered statements are read, and the line is ended by the first that is named by its content.
#[tokio::test]
async fn a_vault_of_format_1_goes_on() {
    let (identity, repository) = repository().await;
    let storage = Storage::open("memory://", [], Default::default()).unwrap();
    let mut root = repository.root.clone();
    for number in 1..=2 {
        root.number = number;
        root.writers = (1..=number as u8).map(writer).collect();
        let (name, text) = (names::root(number), serde_json::to_string_pretty(&root).unwrap());
        let signature = identity.root_key.sign(text.as_bytes(), &comment(root.repository, &name)).unwrap();
        mirrored::put(&storage, &name, Bytes::from(text)).await.unwrap();
        mirrored::put(&storage, &names::signature(&name), Bytes::from(signature)).await.unwrap();
    }
    let root_key = identity.root_key.public().clone();
    let mut old = Repository { storage: storage.clone(), ..repository };
    old.trust = load(&storage, old.id, &Anchor::Last(root_key.clone())).await.unwrap();
    assert_eq!((old.trust.last_number, old.trust.names.len()), (2, 2));
    authorise_at_once(&old, &identity, 3..=6).await;
    let trust = load(&storage, old.id, &Anchor::Last(root_key.clone())).await.unwrap();
    assert_eq!((trust.last_number, trust.heads.len(), trust.names.len()), (3, 4, 4));
    assert_eq!(trust.root.writers.len(), 7, "two machines of each statement share an id, and differ in their keys");
    // A machine that knows nothing but the second number finds its way, one that has seen more does not.
    let pinned = |number| Anchor::Pinned { root_key: root_key.clone(), number, heads: Vec::new() };
    load(&storage, old.id, &pinned(2)).await.unwrap();
    assert!(load(&storage, old.id, &pinned(4)).await.is_err());
}

/// What happened to a vault before: two machines had one number, and each object is one's or the other's.
#[tokio::test]
async fn a_number_that_two_machines_had_can_be_passed_over() {
    let (identity, repository) = repository().await;
    let storage = Storage::open("memory://", [], Default::default()).unwrap();
    let mut texts = Vec::new();
    for (number, machine) in [(1, 1), (2, 2), (2, 3)] {
        let mut root = repository.root.clone();
        root.number = number;
        root.writers = vec![writer(1), writer(machine)];
        let text = serde_json::to_string_pretty(&root).unwrap();
        let signature = identity.root_key.sign(text.as_bytes(), &comment(root.repository, &names::root(number))).unwrap();
        texts.push((names::root(number), text, signature));
    }
    let (first, second, third) = (&texts[0], &texts[1], &texts[2]);
    for (name, text, signature) in [(&first.0, &first.1, &first.2), (&second.0, &second.1, &third.2)] {
        mirrored::put(&storage, name, Bytes::from(text.clone())).await.unwrap();
        mirrored::put(&storage, &names::signature(name), Bytes::from(signature.clone())).await.unwrap();
    }
    let root_key = identity.root_key.public().clone();
    assert!(load(&storage, repository.id, &Anchor::Last(root_key.clone())).await.is_err());
    let left = salvage(&storage, repository.id, &root_key).await.unwrap();
    assert_eq!((left.lost.len(), left.root.writers.len()), (1, 2));
    amend(&storage, &left, &identity.root_key, NOW, |_| ()).await.unwrap();
    let whole = load(&storage, repository.id, &Anchor::Last(root_key)).await.unwrap();
    assert_eq!((whole.heads.len(), whole.names.len(), whole.root.writers.len()), (1, 1, 2));
}

/// What somebody does in a random history: on which of the statements so far, and what.
#[derive(Clone, Debug)]
enum Act {
    Authorise(u8),
    Revoke(u8),
    AddSlot(u8),
    RemoveSlot(u8),
    Exchange(u8),
    Merge,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..20u8).prop_map(Act::Authorise),
        (1..20u8).prop_map(Act::Revoke),
        (1..5u8).prop_map(Act::AddSlot),
        (1..5u8).prop_map(Act::RemoveSlot),
        (1..4u8).prop_map(Act::Exchange),
        Just(Act::Merge),
    ]
}

fn recipient(number: u8) -> String {
    format!("age1{number}")
}

fn apply(root: &mut Root, act: &Act, key: &VerifyingKey) {
    match *act {
        Act::Authorise(number) => {
            if root.writer(Id([number; 16])).is_none() {
                root.writers.push(Writer::new(Id([number; 16]), key.clone()));
            }
        }
        Act::Revoke(number) => root.revoked.push(Revocation::new(Id([number; 16]), Vec::new())),
        Act::AddSlot(number) => {
            if !root.slots.iter().any(|slot| slot.id.0[0] == number) {
                root.slots.push(Slot::new(Id([number; 16]), SlotKind::Passphrase, Digest([number; 32])));
            }
        }
        Act::RemoveSlot(number) => root.removed_slots.push(Id([number; 16])),
        Act::Exchange(number) => {
            root.exchange_recipient(&recipient(number));
        }
        Act::Merge => {}
    }
}

/// A statement, and the statements that it was made from.
struct Made {
    root: Root,
    below: BTreeSet<usize>,
}

fn heads(history: &[Made]) -> Vec<usize> {
    (0..history.len()).filter(|index| !history.iter().any(|made| made.below.contains(index))).collect()
}

fn view(history: &[Made], mut heads: Vec<usize>, turn: usize) -> Root {
    let turn = turn % heads.len();
    heads.rotate_left(turn);
    let mut root = merge(heads.iter().map(|&index| &history[index].root)).unwrap();
    // What is no content.
    (root.parents, root.ancestors, root.number) = (Vec::new(), Vec::new(), 0);
    merge([&root, &root]).unwrap()
}

proptest! {
    #[test]
    fn random_forks_come_together(acts in proptest::collection::vec((act(), any::<u64>()), 1..40), turn in 0..7usize) {
        let key = SigningKey::generate().unwrap().public().clone();
        let first = Root {
            format: CURRENT, repository: Id([1; 16]), number: 1, time: jiff::Timestamp::UNIX_EPOCH, parents: vec![], ancestors: vec![],
            numbered: 0, root_key: key.clone(), recipients: vec![RootRecipient::current(recipient(0))],
            slots: vec![], removed_slots: vec![], writers: vec![], revoked: vec![], later: Later::new(),
        };
        let mut history = vec![Made { root: first, below: BTreeSet::new() }];
        for (act, from) in &acts {
            // Some of the statements so far are what this machine has seen: it stands on those that no other of them stands on.
            let seen: Vec<usize> = (0..history.len()).filter(|&index| index == 0 || from >> (index % 64) & 1 == 1 || matches!(act, Act::Merge)).collect();
            let seen: Vec<usize> = seen.iter().copied().filter(|index| !seen.iter().any(|other| history[*other].below.contains(index))).collect();
            let mut root = merge(seen.iter().map(|&index| &history[index].root)).unwrap();
            apply(&mut root, act, &key);
            let below = seen.iter().flat_map(|&index| history[index].below.iter().copied().chain([index])).collect();
            history.push(Made { root, below });
        }
        let heads = heads(&history);
        let merged = view(&history, heads.clone(), 0);
        // Whatever order they are read in, and whoever merges them first.
        prop_assert_eq!(&merged, &view(&history, heads.clone(), turn));
        let (some, rest) = heads.split_at(turn % heads.len());
        if !some.is_empty() {
            let part = merge(some.iter().map(|&index| &history[index].root)).unwrap();
            let again = merge(rest.iter().map(|&index| &history[index].root).chain([&part])).unwrap();
            prop_assert_eq!(&merged.writers, &merge([&again, &again]).unwrap().writers);
            prop_assert_eq!(&merged.recipients, &merge([&again, &again]).unwrap().recipients);
        }
        // Nothing that anybody said is lost, and what was taken away by anybody stays so.
        for (act, _) in &acts {
            match *act {
                Act::Authorise(number) => prop_assert!(merged.writer(Id([number; 16])).is_some()),
                Act::Revoke(number) => prop_assert!(!merged.accepts(Id([number; 16]), Id([0; 16]), 1)),
                Act::RemoveSlot(number) => prop_assert!(!merged.slots.iter().any(|slot| slot.id.0[0] == number)),
                Act::Exchange(_) => prop_assert!(!merged.current_recipients().any(|current| current == recipient(0))),
                Act::AddSlot(_) | Act::Merge => {}
            }
        }
    }
}
