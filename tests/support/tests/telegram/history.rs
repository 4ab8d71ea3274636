use grammers_tl_types::{Serializable, enums};
use tgvault_test_support::telegram::{Options, Peer, TelegramServer};

use crate::client::log_in;

/// The chat that a message says it is in.
fn peer_of(message: &enums::Message) -> Peer {
    match message {
        enums::Message::Message(m) => Peer::from_tl(&m.peer_id),
        enums::Message::Service(m) => Peer::from_tl(&m.peer_id),
        enums::Message::Empty(_) => panic!("an empty message in a history"),
    }
}

#[tokio::test]
async fn an_ordinary_client_reads_everything_as_it_is() {
    let server = TelegramServer::start(Options { messages: 3_000, chats: 230, ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    let mut seen = Vec::new();
    let mut dialogs = client.iter_dialogs();
    while let Some(dialog) = dialogs.next().await.expect("a page") {
        let mut ids = Vec::new();
        let mut history = client.iter_messages(dialog.peer_ref());
        let mut peer = None;
        while let Some(message) = history.next().await.expect("a page") {
            peer = Some(peer_of(&message.raw));
            let truth = server.message(peer_of(&message.raw), message.id()).expect("the server has it");
            assert_eq!(message.raw.to_bytes(), truth.to_bytes());
            ids.push(message.id());
        }
        ids.reverse();
        assert_eq!(ids, server.message_ids(peer.expect("no dialog is without messages")));
        seen.extend(peer);
    }
    let listed: Vec<Peer> = server.chats().into_iter().filter(|chat| chat.listed).map(|chat| chat.peer).collect();
    assert!(listed.len() > 200);
    seen.sort();
    let mut listed_sorted = listed;
    listed_sorted.sort();
    assert_eq!(seen, listed_sorted);
    // 3 pages of dialogs, no more.
    assert!(server.methods()["messages.getDialogs"] <= 4, "{:?}", server.methods());
}
