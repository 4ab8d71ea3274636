use grammers_client::Client;
use grammers_mtsender::InvocationError;
use grammers_tl_types::{enums, functions as f, types};
use tgvault_test_support::telegram::{Effect, Fault, Mutation, Options, Peer, SELF, TelegramServer, When, file_bytes};

use crate::client::{extend_login, log_in, rpc_error};

fn location(document: &types::Document, thumb_size: &str) -> enums::InputFileLocation {
    types::InputDocumentFileLocation {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference.clone(),
        thumb_size: thumb_size.into(),
    }
    .into()
}

fn part(location: enums::InputFileLocation, offset: i64, limit: i32) -> f::upload::GetFile {
    f::upload::GetFile { precise: false, cdn_supported: false, location, offset, limit }
}

async fn fetch(client: &Client, dc: i32, request: &f::upload::GetFile) -> Result<Vec<u8>, InvocationError> {
    match client.invoke_in_dc(dc, request).await? {
        enums::upload::File::File(file) => Ok(file.bytes),
        enums::upload::File::CdnRedirect(redirect) => Err(InvocationError::Rpc(grammers_mtsender::RpcError {
            code: 0,
            name: "CDN_REDIRECT".into(),
            value: Some(redirect.dc_id as u32),
            caused_by: None,
        })),
    }
}

/// Sends a file of this size to Saved Messages.
fn attach(server: &TelegramServer, size: u64) -> types::Document {
    let send = Mutation::Send { peer: Peer::User(SELF), text: String::new(), out: true, reply_to: None, file: Some(size) };
    let id = server.mutate(&send).expect("sent").ids[0];
    document(server, id)
}

fn document(server: &TelegramServer, id: i32) -> types::Document {
    let Some(enums::Message::Message(message)) = server.message(Peer::User(SELF), id) else { panic!("a message") };
    let Some(enums::MessageMedia::Document(media)) = message.media else { panic!("a document") };
    let Some(enums::Document::Document(document)) = media.document else { panic!("a document") };
    document
}

#[tokio::test]
async fn come_whole_and_from_their_own_dc() {
    let server = TelegramServer::start(Options::empty()).expect("starts");
    let client = log_in(&server).await;
    extend_login(&client, 4).await;
    let mut dcs = std::collections::BTreeSet::new();
    for size in [1, 4096, 524_288, 1_500_000, 1_500_001, 1_500_002, 1_500_003] {
        let document = attach(&server, size);
        dcs.insert(document.dc_id);
        assert_eq!(document.size as u64, size);
        let other = if document.dc_id == 2 { 4 } else { 2 };
        let wrong = fetch(&client, other, &part(location(&document, ""), 0, 4096)).await;
        assert_eq!(rpc_error(wrong), format!("FILE_MIGRATE_{}", document.dc_id));
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            bytes.extend(
                fetch(&client, document.dc_id, &part(location(&document, ""), bytes.len() as i64, 512 << 10)).await.expect("a part"),
            );
        }
        assert!(bytes == file_bytes(document.id, "", 0, size as usize), "{size}");
        assert!(fetch(&client, document.dc_id, &part(location(&document, ""), 2 << 20, 4096)).await.expect("beyond the end").is_empty());
    }
    assert_eq!(dcs.len(), 2, "both DCs have files");
}

#[tokio::test]
async fn references_expire_and_are_given_anew() {
    let server = TelegramServer::start(Options { dcs: vec![2], ..Options::empty() }).expect("starts");
    let client = log_in(&server).await;
    let old = attach(&server, 5000);
    fetch(&client, 2, &part(location(&old, ""), 0, 4096)).await.expect("a part");
    server.add_fault(Fault { when: When { times: Some(1), ..When::method("upload.getFile") }, then: Effect::ExpireReferences });
    assert_eq!(rpc_error(fetch(&client, 2, &part(location(&old, ""), 0, 4096)).await), "FILE_REFERENCE_EXPIRED");
    assert_eq!(rpc_error(fetch(&client, 2, &part(location(&old, ""), 0, 4096)).await), "FILE_REFERENCE_EXPIRED");
    let saved: Vec<i32> = server.message_ids(Peer::User(SELF));
    let request = f::messages::GetMessages { id: vec![types::InputMessageId { id: saved[0] }.into()] };
    let enums::messages::Messages::Messages(again) = client.invoke(&request).await.expect("the message") else { panic!("messages") };
    let enums::Message::Message(again) = &again.messages[0] else { panic!("a message") };
    let Some(enums::MessageMedia::Document(media)) = &again.media else { panic!("a document") };
    let Some(enums::Document::Document(fresh)) = &media.document else { panic!("a document") };
    fetch(&client, 2, &part(location(fresh, ""), 0, 4096)).await.expect("a part");
    let forged = types::Document { file_reference: b"nonsense".to_vec(), ..fresh.clone() };
    assert_eq!(rpc_error(fetch(&client, 2, &part(location(&forged, ""), 0, 4096)).await), "FILE_REFERENCE_INVALID");
    let forged = types::Document { access_hash: 5, ..fresh.clone() };
    assert_eq!(rpc_error(fetch(&client, 2, &part(location(&forged, ""), 0, 4096)).await), "FILE_ID_INVALID");
}

#[tokio::test]
async fn parts_go_wrong_when_the_script_says() {
    let server = TelegramServer::start(Options { dcs: vec![2], ..Options::empty() }).expect("starts");
    let client = log_in(&server).await;
    let document = attach(&server, 9000);
    let ask = || part(location(&document, ""), 0, 4096);
    let once = |from, then| Fault { when: When { from, times: Some(1), ..When::method("upload.getFile") }, then };
    server.add_fault(once(1, Effect::PartLength(-1000)));
    server.add_fault(once(2, Effect::PartLength(1000)));
    server.add_fault(once(3, Effect::CdnRedirect));
    server.add_fault(once(4, Effect::rpc(420, "FLOOD_PREMIUM_WAIT_3")));
    assert_eq!(fetch(&client, 2, &ask()).await.expect("a part").len(), 3096);
    assert_eq!(fetch(&client, 2, &ask()).await.expect("a part").len(), 5096);
    assert_eq!(rpc_error(fetch(&client, 2, &ask()).await), "CDN_REDIRECT_203");
    assert_eq!(rpc_error(fetch(&client, 2, &ask()).await), "FLOOD_PREMIUM_WAIT_3");
    assert_eq!(fetch(&client, 2, &ask()).await.expect("a part"), file_bytes(document.id, "", 0, 4096));
    assert_eq!(server.struck(), [1, 1, 1, 1]);
}

/// Every photo and thumbnail that generated messages speak of can be fetched in the size they tell.
#[tokio::test]
async fn generated_files_have_the_size_they_say() {
    let server =
        TelegramServer::start(Options { dcs: vec![2], files: 60, messages: 400, chats: 10, ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    let mut fetched = 0;
    for chat in server.chats() {
        for id in server.message_ids(chat.peer) {
            let Some(enums::Message::Message(message)) = server.message(chat.peer, id) else { continue };
            let mut wanted: Vec<(enums::InputFileLocation, i64)> = Vec::new();
            match message.media {
                Some(enums::MessageMedia::Photo(types::MessageMediaPhoto { photo: Some(enums::Photo::Photo(photo)), .. })) => {
                    for size in photo.sizes {
                        let (thumb_size, len) = match size {
                            enums::PhotoSize::Size(size) => (size.r#type, size.size),
                            enums::PhotoSize::Progressive(size) => (size.r#type, size.sizes.last().copied().unwrap_or_default()),
                            _ => continue,
                        };
                        let (id, access_hash, file_reference) = (photo.id, photo.access_hash, photo.file_reference.clone());
                        wanted.push((types::InputPhotoFileLocation { id, access_hash, file_reference, thumb_size }.into(), len.into()));
                    }
                }
                Some(enums::MessageMedia::Document(types::MessageMediaDocument {
                    document: Some(enums::Document::Document(document)),
                    ..
                })) => {
                    wanted.push((location(&document, ""), document.size));
                    for thumb in document.thumbs.iter().flatten() {
                        if let enums::PhotoSize::Size(size) = thumb {
                            wanted.push((location(&document, &size.r#type), size.size.into()));
                        }
                    }
                }
                _ => {}
            }
            for (location, len) in wanted {
                let last = (len - 1) / 4096 * 4096;
                let bytes = fetch(&client, 2, &part(location.clone(), last, 4096)).await.expect("the last part");
                assert_eq!(last + bytes.len() as i64, len, "{location:?}");
                fetched += 1;
            }
        }
    }
    assert!(fetched > 100, "{fetched}");
}

/// Requests that arrive together get answers that fit their packets.
#[tokio::test]
async fn many_large_parts_at_once() {
    let server = TelegramServer::start(Options { dcs: vec![2], ..Options::empty() }).expect("starts");
    let client = log_in(&server).await;
    let document = attach(&server, 8 << 20);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (client, request) = (client.clone(), part(location(&document, ""), n * (512 << 10), 512 << 10));
        tasks.spawn(async move { (n, fetch(&client, 2, &request).await.expect("a part")) });
    }
    for (n, bytes) in tasks.join_all().await {
        assert!(bytes == file_bytes(document.id, "", n as u64 * (512 << 10), 512 << 10));
    }
}
