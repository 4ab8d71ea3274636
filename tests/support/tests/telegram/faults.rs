use std::time::Duration;

use grammers_mtsender::InvocationError;
use grammers_tl_types::{enums, functions as f, types};
use tgvault_test_support::telegram::{Effect, Fault, Mutation, Options, Peer, SELF, TelegramServer, When};

use crate::client::{connect, history, input_peer, log_in, rpc_error};

fn saved() -> enums::InputPeer {
    types::InputPeerUser { user_id: SELF, access_hash: 0 }.into()
}

fn once(method: &str, then: Effect) -> Fault {
    Fault { when: When { times: Some(1), ..When::method(method) }, then }
}

const HISTORY: &str = "messages.getHistory";

#[tokio::test]
async fn errors_are_answered_once_and_counted() {
    let server = TelegramServer::start(Options::default()).expect("starts");
    let client = log_in(&server).await;
    for (code, message) in [(420, "FLOOD_WAIT_7"), (500, "INTERNAL"), (-503, "Timeout"), (400, "CHANNEL_PRIVATE")] {
        server.clear_faults();
        server.add_fault(once(HISTORY, Effect::rpc(code, message)));
        let Err(InvocationError::Rpc(error)) = client.invoke(&history(saved(), 0, 0, 1)).await else { panic!("an error was due") };
        assert_eq!(error.code, code);
        client.invoke(&history(saved(), 0, 0, 1)).await.expect("a page");
    }
    assert_eq!(server.methods()[HISTORY], 8);
    assert_eq!(server.requests().iter().filter(|request| request.error.is_some() && request.method == HISTORY).count(), 4);
}

#[tokio::test]
async fn connections_break_and_are_made_anew() {
    for then in [Effect::Cut, Effect::CutAfter(100), Effect::CutAfter(0), Effect::Transport(-429), Effect::Transport(-404)] {
        let server = TelegramServer::start(Options::default()).expect("starts");
        let client = log_in(&server).await;
        let before = server.loads()[&2].accepted;
        server.add_fault(once(HISTORY, then.clone()));
        assert!(client.invoke(&history(saved(), 0, 0, 50)).await.is_err(), "{then:?}");
        client.invoke(&history(saved(), 0, 0, 50)).await.unwrap_or_else(|error| panic!("after {then:?}: {error}"));
        assert!(server.loads()[&2].accepted > before);
        assert_eq!(server.loads()[&2].in_flight, 0);
    }
}

#[tokio::test]
async fn a_request_or_a_whole_dc_can_be_silent() {
    let server = TelegramServer::start(Options::default()).expect("starts");
    let client = log_in(&server).await;
    server.add_fault(once(HISTORY, Effect::Silent));
    let silent = tokio::spawn({
        let client = client.clone();
        async move { client.invoke(&history(saved(), 0, 0, 1)).await.is_ok() }
    });
    while server.loads()[&2].in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.invoke(&history(saved(), 0, 0, 1)).await.expect("others are answered");
    assert_eq!(server.loads()[&2].in_flight, 1);
    assert!(!silent.is_finished());

    server.add_fault(Fault { when: When { dc: Some(4), ..When::method("connect") }, then: Effect::Silent });
    let address = server.addresses()[&4];
    let mute = tokio::time::timeout(Duration::from_millis(300), crate::client::exchange_keys(address, server.key())).await;
    assert!(mute.is_err());
}

#[tokio::test]
async fn answers_can_be_late() {
    let server = TelegramServer::start(Options { latency: Duration::from_millis(40), ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    server.add_fault(once(HISTORY, Effect::Delay(200)));
    let begun = std::time::Instant::now();
    let page = history(saved(), 0, 0, 1);
    let (slow, quick) = (client.invoke(&page), client.invoke(&f::help::GetNearestDc {}));
    let ended = tokio::join!(
        async {
            slow.await.expect("a page");
            begun.elapsed()
        },
        async {
            quick.await.expect("an answer");
            begun.elapsed()
        }
    );
    // Lower bounds only: nothing here asks for speed.
    assert!(ended.0 >= Duration::from_millis(240) && ended.1 >= Duration::from_millis(40), "{ended:?}");
}

#[tokio::test]
async fn bandwidth_is_bounded() {
    let server = TelegramServer::start(Options { bandwidth: Some(200_000), gzip: false, ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    let before = server.loads()[&2].bytes_sent;
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        client.invoke(&history(saved(), 0, 0, 100)).await.expect("a page");
    }
    let sent = server.loads()[&2].bytes_sent - before;
    assert!(begun.elapsed().as_secs_f64() > sent as f64 / 200_000.0 * 0.8, "{sent} bytes");
}

#[tokio::test]
async fn salts_logins_and_chats_end_in_mid_run() {
    let server = TelegramServer::start(Options::default()).expect("starts");
    let client = log_in(&server).await;
    server.add_fault(once(HISTORY, Effect::NewSalt));
    for _ in 0..3 {
        // The client has to take the new salt and ask again.
        client.invoke(&history(saved(), 0, 0, 1)).await.expect("a page");
    }
    let channel = server.chats().into_iter().find(|chat| chat.listed && matches!(chat.peer, Peer::Channel(_))).expect("a channel");
    let gone = Fault {
        when: When { peer: Some(channel.peer.id()), from: 2, times: Some(1), ..When::method(HISTORY) },
        then: Effect::Mutate(Mutation::Remove { peer: channel.peer }),
    };
    server.add_fault(gone);
    client.invoke(&history(input_peer(&channel), 0, 0, 1)).await.expect("a page");
    assert_eq!(rpc_error(client.invoke(&history(input_peer(&channel), 0, 0, 1)).await), "CHANNEL_PRIVATE");
    server.add_fault(once("users.getUsers", Effect::LogOut));
    let who = f::users::GetUsers { id: vec![enums::InputUser::UserSelf] };
    assert_eq!(rpc_error(client.invoke(&who).await), "AUTH_KEY_UNREGISTERED");
    assert_eq!(rpc_error(client.invoke(&who).await), "AUTH_KEY_UNREGISTERED");
}

#[tokio::test]
async fn unknown_methods_and_keys_are_refused() {
    let server = TelegramServer::start(Options::default()).expect("starts");
    let client = log_in(&server).await;
    let error = rpc_error(client.invoke(&f::help::GetSupport {}).await);
    assert!(error.starts_with("INPUT_METHOD_INVALID"), "{error}");
    // Another server has other keys: what is encrypted with this one's is refused, and nothing crashes.
    let other = TelegramServer::start(Options::default()).expect("starts");
    let stranger = connect(&other).await;
    assert!(!stranger.is_authorized().await.expect("an answer"));
    drop(server);
    assert!(client.invoke(&history(saved(), 0, 0, 1)).await.is_err());
}

#[tokio::test]
async fn peaks_and_rates_are_seen() {
    let server = TelegramServer::start(Options { latency: Duration::from_millis(50), ..Options::default() }).expect("starts");
    let client = log_in(&server).await;
    server.forget_requests();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let client = client.clone();
        tasks.spawn(async move { client.invoke(&history(saved(), 0, 0, 1)).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|ok| ok));
    let load = server.loads()[&2];
    assert_eq!((load.most_in_flight, load.most_connections), (6, 1));
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests.iter().all(|request| request.peer == Some(SELF) && request.limit == Some(1) && request.dc == 2));
    assert!(requests.is_sorted_by_key(|request| request.at));
    assert_eq!((server.busiest(2, Duration::from_secs(60)), server.busiest(4, Duration::from_secs(60))), (6, 0));
}
