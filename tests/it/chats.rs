//! The chats of a snapshot are found and their logs streamed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tgvault::model::account::Section;
use tgvault::model::entry::EntryPath;
use tgvault::model::fold::AsOf;
use tgvault::operations::OperationError;
use tgvault::operations::chats::OpenChats;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::render::log::{Batches, ChatLog};
use tgvault::source::desktop::import::{DesktopExport, ImportOptions};
use tgvault::source::desktop::known::Remembered;

use crate::desktop_export::zone;
use crate::support::World;

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Takes the export in `folder` in, as run `run`.
pub async fn import(world: &World, folder: &Path, run: &str, known: &Arc<Remembered>) {
    let options = ImportOptions { zone: zone(), run: run.parse().unwrap(), made: Some(1_750_000_000) };
    let source = DesktopExport::open(folder, options, Arc::clone(known) as _).unwrap();
    let session = world.session(&world.storage, None);
    let (summary, said) = world.backup_in(&session, Arc::new(source)).await.unwrap();
    assert!(summary.snapshot.is_some(), "{said:?}");
}

pub async fn open(world: &World) -> OpenChats {
    let session = world.session(&world.storage, Some(world.unlock()));
    OpenChats::open(&session, &SnapshotChoice::latest()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_found_and_their_logs_read() {
    let world = World::in_memory().await;
    import(&world, &data("sample-export"), "r1", &Arc::new(Remembered::new([1; 32]))).await;
    let chats = open(&world).await;
    assert!(chats.is_telegram() && chats.opened().lost().is_empty());
    tokio::task::spawn_blocking(move || {
        let mut bad = Vec::new();
        let listed = chats.chats(&mut |path, error| bad.push(format!("{path}: {error}"))).unwrap();
        assert!(bad.is_empty(), "{bad:?}");
        let mut messages = 0;
        for chat in &listed {
            let reader = chats.log(chat);
            assert_eq!(reader.count() as usize, chat.batches.len());
            let mut log = ChatLog::new(reader);
            let folded: Vec<_> = log.fold(AsOf::Now, &[], &mut |error| panic!("{error}")).unwrap().collect();
            for one in &folded {
                assert_eq!(log.message(one.current).unwrap().peer, chat.peer);
            }
            messages += folded.len();
            assert!(!chats.coverage(&mut |path, error| panic!("{path}: {error}")).unwrap().contains_key(&chat.peer));
        }
        assert_eq!(messages, 35);
        let mara = listed.iter().find(|chat| chat.is_called("mara")).unwrap();
        for name in ["MARA", &mara.peer.to_string(), &mara.peer.id.to_string()] {
            assert!(mara.is_called(name), "{name}");
        }
        assert!(!mara.is_called("@") && !mara.is_called("") && !mara.is_called("Mar"));
        let sections: Vec<Section> =
            chats.sections(&mut |path, error| panic!("{path}: {error}")).unwrap().iter().map(|s| s.section).collect();
        assert_eq!(sections.first(), Some(&Section::PersonalInformation));
        assert!(sections.len() > 3);
        let nowhere = EntryPath::new("chats/user1/chat.json").unwrap();
        assert!(matches!(chats.opened().read(&nowhere), Err(OperationError::NoSuchPath { .. })));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_files_has_no_chats() {
    let world = World::in_memory().await;
    world.write("chats/notes.txt", b"not a log");
    world.write("chats/user7/chat.json", b"not a description");
    world.backup().await;
    let chats = open(&world).await;
    tokio::task::spawn_blocking(move || {
        let mut bad = Vec::new();
        let listed = chats.chats(&mut |path, error| bad.push(format!("{path}: {error}"))).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].info.name.as_deref(), listed[0].batches.len()), (None, 0));
        assert_eq!(bad.len(), 1);
        assert!(bad[0].contains("cannot read 'chats/user7/chat.json': it cannot be understood"), "{bad:?}");
    })
    .await
    .unwrap();
}
