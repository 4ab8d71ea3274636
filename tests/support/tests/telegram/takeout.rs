use grammers_tl_types::{enums, functions as f, types};
use tgvault_test_support::telegram::{Effect, Fault, Options, Peer, SELF, TelegramServer, When};

use crate::client::{history, input_peer, log_in, messages_of, rpc_error};

fn init() -> f::account::InitTakeoutSession {
    f::account::InitTakeoutSession {
        contacts: true,
        message_users: true,
        message_chats: true,
        message_megagroups: true,
        message_channels: true,
        files: true,
        file_max_size: Some(4 << 30),
    }
}

fn wrap<X>(takeout_id: i64, query: X) -> f::InvokeWithTakeout<X> {
    f::InvokeWithTakeout { takeout_id, query }
}

#[tokio::test]
async fn is_asked_for_used_and_finished() {
    let server = TelegramServer::start(Options { chats: 90, ..Options::default() }).expect("starts");
    let delay = Fault {
        when: When { times: Some(1), ..When::method("account.initTakeoutSession") },
        then: Effect::rpc(420, "TAKEOUT_INIT_DELAY_86400"),
    };
    server.add_fault(delay);
    let client = log_in(&server).await;
    assert_eq!(rpc_error(client.invoke(&init()).await), "TAKEOUT_INIT_DELAY_86400");
    let enums::account::Takeout::Takeout(takeout) = client.invoke(&init()).await.expect("a takeout");
    let left = f::channels::GetLeftChannels { offset: 0 };
    assert_eq!(rpc_error(client.invoke(&left).await), "TAKEOUT_REQUIRED");
    let enums::messages::Chats::Chats(chats) = client.invoke(&wrap(takeout.id, left)).await.expect("left channels") else {
        panic!("all fit")
    };
    let expected: Vec<i64> = server.chats().iter().filter(|chat| chat.left).map(|chat| chat.peer.id()).collect();
    assert_eq!(chats.chats.iter().map(enums::Chat::id).collect::<Vec<_>>(), expected);
    assert!(expected.len() > 4);
    assert!(client.invoke(&wrap(takeout.id, f::contacts::GetSaved {})).await.expect("contacts").len() > 2);
    assert!(client.invoke(&wrap(takeout.id, f::account::FinishTakeoutSession { success: true })).await.expect("an answer"));
    assert_eq!(rpc_error(client.invoke(&wrap(takeout.id, f::contacts::GetSaved {})).await), "TAKEOUT_INVALID");
}

/// What an export reads range by range is what there is, and nothing twice.
#[tokio::test]
async fn split_ranges_cover_everything_once() {
    let server = TelegramServer::start(Options { split_ranges: 4, messages: 1_500, ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    let enums::account::Takeout::Takeout(takeout) = client.invoke(&init()).await.expect("a takeout");
    let ranges = client.invoke(&wrap(takeout.id, f::messages::GetSplitRanges {})).await.expect("ranges");
    assert_eq!(ranges.len(), 4);
    for chat in server.chats().into_iter().filter(|chat| chat.listed && !matches!(chat.peer, Peer::Channel(_))) {
        let mut ids = Vec::new();
        for range in &ranges {
            let mut offset_id = 1;
            loop {
                let query = history(input_peer(&chat), offset_id, -50, 50);
                let page =
                    client.invoke(&wrap(takeout.id, f::InvokeWithMessagesRange { range: range.clone(), query })).await.expect("a page");
                let page = messages_of(page);
                let Some(newest) = page.first() else { break };
                offset_id = newest.id() + 1;
                ids.extend(page.iter().rev().map(enums::Message::id));
            }
        }
        assert_eq!(ids, server.message_ids(chat.peer), "{chat:?}");
    }
}

#[tokio::test]
async fn ends_when_the_script_says() {
    let server = TelegramServer::start(Options::default()).expect("starts");
    let client = log_in(&server).await;
    let enums::account::Takeout::Takeout(takeout) = client.invoke(&init()).await.expect("a takeout");
    server.add_fault(Fault { when: When { from: 3, times: Some(1), ..When::method("messages.getHistory") }, then: Effect::EndTakeout });
    let saved: enums::InputPeer = types::InputPeerUser { user_id: SELF, access_hash: 0 }.into();
    let ask = || wrap(takeout.id, history(saved.clone(), 0, 0, 1));
    client.invoke(&ask()).await.expect("a page");
    client.invoke(&ask()).await.expect("a page");
    assert_eq!(rpc_error(client.invoke(&ask()).await), "TAKEOUT_INVALID");
    assert_eq!(rpc_error(client.invoke(&ask()).await), "TAKEOUT_INVALID");
    let enums::account::Takeout::Takeout(takeout) = client.invoke(&init()).await.expect("another takeout");
    client.invoke(&wrap(takeout.id, history(saved.clone(), 0, 0, 1))).await.expect("a page");
    assert!(server.requests().iter().any(|request| request.error.as_deref() == Some("TAKEOUT_INVALID") && request.takeout));
}
