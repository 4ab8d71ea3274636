//! Servers have habits: what an independent one did that ours did not, each with what it must not cost.

use grammers_tl_types::{Identifiable, Serializable, enums, types};
use tgvault::model::coverage::Verdict;
use tgvault::model::record::Record;
use tgvault::source::telegram::{ConnectionEvent, Event, ExportOptions, LoginWay, TakeoutUse};
use tgvault_test_support::sandbox::Run;
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, When, blank_message};

use crate::export::{assert_all_there, assert_bytes_of, assert_complete, readable};
use crate::harness::{Answers, Setup, Vault, peer, plain};
use crate::program::Program;
use crate::refusals::METHODS;

fn small() -> Options {
    Options { messages: 400, chats: 12, files: 8, media_bytes: 1_000_000, gallery: false, ..Options::default() }
}

fn strike(when: When, then: Effect) -> Fault {
    Fault { when, then }
}

fn once(method: &str) -> When {
    When { times: Some(1), ..When::method(method) }
}

fn of_kind(setup: &Setup, kind: Kind) -> Peer {
    let found = readable(&setup.server).into_iter().find(|chat| chat.kind == kind && chat.messages > 3);
    found.unwrap_or_else(|| panic!("no {kind:?}")).peer
}

fn deletions(vault: &Vault, setup: &Setup) -> usize {
    let records = readable(&setup.server).into_iter().flat_map(|chat| vault.records(peer(chat.peer)));
    records.filter(|record| matches!(record, Record::Deletion(_))).count()
}

/// A page that has nothing in it, of a chat that has messages.
fn empty_page() -> Vec<u8> {
    enums::messages::Messages::Slice(types::messages::MessagesSlice {
        inexact: false,
        count: 40,
        next_rate: None,
        offset_id_offset: None,
        search_flood: None,
        messages: vec![],
        topics: vec![],
        chats: vec![],
        users: vec![],
    })
    .to_bytes()
}

#[test]
fn a_clock_that_is_minutes_ahead_or_behind() {
    for clock_ahead in [900, -900] {
        let setup = Setup::new(Options { clock_ahead, ..small() });
        let mut vault = Vault::default();
        // The second run begins with the key of the first, and without its knowledge of the clock.
        for _ in 0..2 {
            setup.run(&mut vault, plain());
        }
        assert_complete(&setup, &vault);
    }
}

#[test]
fn servers_that_know_of_no_salts_to_come() {
    for future_salts in [None, Some(0), Some(1)] {
        let setup = Setup::new(Options { future_salts, ..small() });
        // In the middle too the salt that a server tells is all there is.
        setup.server.add_fault(strike(When { from: 3, every: 4, ..When::method("messages.getHistory") }, Effect::NewSalt));
        let mut vault = Vault::default();
        setup.run(&mut vault, plain());
        assert_complete(&setup, &vault);
    }
}

#[test]
fn refusals_that_are_packed() {
    let setup = Setup::new(Options { gzip_errors: true, password: Some("correct horse".into()), ..small() });
    setup.server.add_fault(strike(once("messages.getHistory"), Effect::rpc(420, "FLOOD_WAIT_1")));
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn packets_of_more_than_a_mebibyte() {
    let setup = Setup::new(Options { gzip: false, packet_bytes: 8 << 20, ..small() });
    setup.account();
    let chat = of_kind(&setup, Kind::Private);
    // The longest text there is, in the longest characters.
    for _ in 0..120 {
        let text = "😀".repeat(4096);
        setup.server.mutate(&Mutation::Send { peer: chat, text, out: false, reply_to: None, file: None }).unwrap();
    }
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert_all_there(&setup, &vault);
}

#[test]
fn a_key_exchange_that_wants_another_secret() {
    let setup = Setup::new(Options { key_retries: 2, ..Options::empty() });
    setup.account();
}

#[test]
fn a_configuration_that_is_not_given() {
    for (code, name) in [(400, "METHOD_INVALID"), (406, "SOMETHING"), (500, "INTERNAL")] {
        let setup = Setup::new(small());
        setup.server.add_fault(strike(When::method("help.getConfig"), Effect::rpc(code, name)));
        let mut vault = Vault::default();
        // Files of other data centres have no known address then.
        setup.run(&mut vault, ExportOptions { media: vec![], account: false, ..plain() });
        assert_complete(&setup, &vault);
    }
}

#[test]
fn a_takeout_that_is_refused_in_whatever_way() {
    for then in [Effect::rpc(406, "SOMETHING"), Effect::rpc(400, "METHOD_INVALID"), Effect::Answer(vec![0xEE; 12])] {
        let setup = Setup::new(small());
        setup.server.add_fault(strike(When::method("account.initTakeoutSession"), then));
        let mut vault = Vault::default();
        setup.run(&mut vault, ExportOptions { recheck_budget: 0, ..ExportOptions::default() });
        assert_complete(&setup, &vault);
        assert!(setup.events.notes().iter().any(|note| note.contains("does not offer a takeout here")), "{:?}", setup.events.notes());
    }
}

#[test]
fn top_messages_that_cannot_be_read_cost_nothing_of_the_list() {
    let setup = Setup::new(Options { chats: 230, messages: 900, files: 0, gallery: false, ..Options::default() });
    setup.account();
    for chat in readable(&setup.server).iter().step_by(3) {
        let top = *setup.server.message_ids(chat.peer).last().unwrap();
        let bytes = setup.server.message(chat.peer, top).unwrap().to_bytes();
        setup.server.add_fault(strike(When::method("messages.getDialogs"), Effect::Garble(bytes.get(..32).unwrap_or(&bytes).to_vec())));
    }
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn a_chat_that_cannot_be_read_costs_itself_only() {
    let setup = Setup::new(small());
    setup.account();
    let lost = of_kind(&setup, Kind::Supergroup { forum: false });
    let title = readable(&setup.server).into_iter().find(|chat| chat.peer == lost).unwrap().title;
    // The title's length becomes nonsense, and with it all that follows in the answer.
    let mut bytes = vec![u8::try_from(title.len()).unwrap()];
    bytes.extend(title.as_bytes());
    for method in ["messages.getDialogs", "messages.getHistory"] {
        setup.server.add_fault(strike(When::method(method), Effect::Garble(bytes.clone())));
    }
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    for chat in readable(&setup.server).into_iter().filter(|chat| chat.peer != lost) {
        assert_eq!(vault.messages(peer(chat.peer)).len(), chat.messages, "{:?}", chat.peer);
    }
    assert!(vault.problems.iter().any(|problem| problem.path.to_string().contains(&peer(lost).to_string())), "{:?}", vault.problems);
    // Nothing of it is forgotten.
    setup.server.clear_faults();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn a_line_of_the_list_that_cannot_be_read_is_counted_as_missing() {
    let setup = Setup::new(small());
    setup.account();
    let lost = of_kind(&setup, Kind::Private);
    // In a dialog the newest message's id stands behind the peer.
    let mut bytes = enums::Peer::User(types::PeerUser { user_id: bare(lost) }).to_bytes();
    bytes.extend(setup.server.message_ids(lost).last().unwrap().to_le_bytes());
    setup.server.add_fault(strike(When::method("messages.getDialogs"), Effect::Garble(bytes)));
    let mut vault = Vault::default();
    let source = setup.run(&mut vault, plain());
    assert_eq!(source.outcome().chats_failed, 1);
    assert!(setup.events.notes().iter().any(|note| note.contains("1 of the chats in the list")), "{:?}", setup.events.notes());
    assert!(vault.messages(peer(lost)).is_empty());
    for chat in readable(&setup.server).into_iter().filter(|chat| chat.peer != lost) {
        assert_eq!(vault.messages(peer(chat.peer)).len(), chat.messages, "{:?}", chat.peer);
    }
    setup.server.clear_faults();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn an_empty_page_is_no_evidence() {
    let setup = Setup::new(small());
    setup.account();
    let chat = of_kind(&setup, Kind::Private);
    let strike_it = |from| {
        let when = When { peer: Some(bare(chat)), from, ..once("messages.getHistory") };
        setup.server.add_fault(strike(when, Effect::Answer(empty_page())));
    };
    strike_it(1);
    let mut vault = Vault::default();
    let reread = || ExportOptions { recheck_budget: 500, takeout: TakeoutUse::Never, ..ExportOptions::default() };
    setup.run(&mut vault, reread());
    assert_all_there(&setup, &vault);
    strike_it(1);
    setup.run(&mut vault, reread());
    assert_eq!(setup.server.struck(), [1, 1]);
    assert_eq!(deletions(&vault, &setup), 0);
    assert_all_there(&setup, &vault);
}

fn bare(peer: Peer) -> i64 {
    match peer {
        Peer::User(id) | Peer::Group(id) | Peer::Channel(id) => id,
    }
}

#[test]
fn ranges_of_an_account_hide_messages_and_delete_none() {
    let setup = Setup::new(Options { split_ranges: 4, ..small() });
    let mut vault = Vault::default();
    for _ in 0..2 {
        setup.run(&mut vault, ExportOptions { takeout: TakeoutUse::Always, recheck_budget: 500, ..ExportOptions::default() });
    }
    assert_eq!(deletions(&vault, &setup), 0);
    assert_complete(&setup, &vault);
}

#[test]
fn pages_that_are_not_as_they_were_asked_for() {
    let options = || Options { messages: 1_500, ..small() };
    for options in [Options { negative_add_offset: false, ..options() }, Options { page_messages: 10, ..options() }] {
        let setup = Setup::new(options);
        let mut vault = Vault::default();
        setup.run(&mut vault, plain());
        assert_complete(&setup, &vault);
        // What comes later, and what is read again, comes the same way; nothing that a page does not show counts as deleted.
        let chat = of_kind(&setup, Kind::Private);
        setup.server.mutate(&Mutation::Send { peer: chat, text: "one more".into(), out: false, reply_to: None, file: None }).unwrap();
        setup.run(&mut vault, ExportOptions { recheck_budget: 500, ..plain() });
        assert_all_there(&setup, &vault);
        assert_eq!(deletions(&vault, &setup), 0);
    }
}

#[test]
fn more_pinned_chats_than_a_page_shows() {
    for page_dialogs in [1, 2, 3] {
        let setup = Setup::new(Options { page_dialogs, ..small() });
        let mut vault = Vault::default();
        let outcome = setup.run(&mut vault, plain()).outcome();
        assert_complete(&setup, &vault);
        assert_eq!(outcome.chats_failed, 0, "{page_dialogs}");
    }
    // Where the server does not tell, that is said.
    let setup = Setup::new(Options { page_dialogs: 2, ..small() });
    setup.account();
    setup.server.add_fault(strike(When::method("messages.getPinnedDialogs"), Effect::rpc(400, "METHOD_INVALID")));
    let outcome = setup.run(&mut Vault::default(), plain()).outcome();
    assert_eq!(outcome.chats_failed, 1);
}

/// A page with one message of a chat, whose text is bold so many times.
fn nested(chat: Peer, levels: usize) -> Vec<u8> {
    const MARK: &str = "in the middle";
    let text = enums::RichText::TextPlain(types::TextPlain { text: MARK.into() });
    let page = types::Page {
        part: false,
        rtl: false,
        v2: false,
        url: String::new(),
        blocks: vec![types::PageBlockParagraph { text: text.clone() }.into()],
        photos: vec![],
        documents: vec![],
        views: None,
    };
    let shown = types::WebPage {
        has_large_media: false,
        video_cover_photo: false,
        id: 1,
        url: String::new(),
        display_url: String::new(),
        hash: 0,
        r#type: None,
        site_name: None,
        title: None,
        description: None,
        photo: None,
        embed_url: None,
        embed_type: None,
        embed_width: None,
        embed_height: None,
        duration: None,
        author: None,
        document: None,
        cached_page: Some(page.into()),
        attributes: None,
    };
    let media = types::MessageMediaWebPage {
        force_large_media: false,
        force_small_media: false,
        manual: false,
        safe: false,
        webpage: shown.into(),
    };
    let user = types::PeerUser { user_id: bare(chat) };
    let message = types::Message { id: 1, peer_id: user.into(), media: Some(media.into()), ..blank_message() };
    let messages = vec![message.into()];
    let answer = types::messages::Messages { messages, topics: vec![], chats: vec![], users: vec![] };
    let (answer, text) = (enums::messages::Messages::from(answer).to_bytes(), text.to_bytes());
    let at = answer.windows(text.len()).position(|window| window == text).unwrap();
    let (before, after) = answer.split_at(at);
    [before, &types::TextBold::CONSTRUCTOR_ID.to_le_bytes().repeat(levels), after].concat()
}

#[test]
fn texts_in_texts_without_end() {
    // As many as can be read, and far more.
    for (levels, readable) in [(18_000, true), (200_000, false)] {
        let setup = Setup::new(small());
        setup.account();
        let chat = of_kind(&setup, Kind::Private);
        let when = When { peer: Some(bare(chat)), ..When::method("messages.getHistory") };
        setup.server.add_fault(strike(when, Effect::Answer(nested(chat, levels))));
        let mut vault = Vault::default();
        setup.run(&mut vault, plain());
        assert_eq!(vault.messages(peer(chat)).len(), usize::from(readable), "{levels}");
        setup.server.clear_faults();
    }
}

/// Zeros, packed: far less than they are.
fn packed_zeros(bytes: usize) -> Vec<u8> {
    const GZIP_PACKED: u32 = 0x3072_cfa1;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes as u64), &mut encoder).unwrap();
    [&GZIP_PACKED.to_le_bytes()[..], &encoder.finish().unwrap().to_bytes()].concat()
}

#[test]
fn answers_that_inflate_to_gigabytes_cost_one_thing_each() {
    let bomb = packed_zeros(900 << 20);
    let program = Program::logged_in(Options { gzip: false, ..small() });
    let lost = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Private && chat.messages > 3).unwrap();
    let when = When { peer: Some(bare(lost.peer)), ..When::method("messages.getHistory") };
    program.server.add_fault(strike(when, Effect::Answer(bomb.clone())));
    program.server.add_fault(strike(When { from: 3, ..once("upload.getFile") }, Effect::Answer(bomb.clone())));
    program.server.add_fault(strike(When::method("updates.getState"), Effect::Answer(bomb)));
    // Less than one of them takes while it grows; the stacks of threads are counted too.
    let plain = program.command(&["backup", "telegram", "--no-account-data", "--recheck-budget", "0", "--takeout", "never"]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -d 1200000 && exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    limited.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(program.sandbox.work());
    let run = Run::from(limited.output().unwrap());
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    assert!(program.server.struck().iter().all(|&times| times > 0));
    let vault = program.restored();
    for chat in readable(&program.server).into_iter().filter(|chat| chat.peer != lost.peer) {
        assert_eq!(vault.messages(peer(chat.peer)).len(), chat.messages, "{:?}", chat.peer);
    }
    assert!(matches!(vault.coverage(peer(lost.peer)).verdict, Verdict::Incomplete(_)));
    program.server.clear_faults();
    program.backup(&["--takeout", "never"], 0);
    assert_bytes_of(&program.server, &program.restored());
}

/// Strikes some methods after the others: each run comes to its end, and the next has everything.
fn each_method_costs_itself_only(faults: impl Fn(&str) -> Vec<Fault>) {
    for methods in METHODS.chunks(6) {
        let setup = Setup::new(Options { messages: 60, chats: 5, files: 4, media_bytes: 200_000, ..Options::default() });
        setup.account();
        for fault in methods.iter().flat_map(|method| faults(method)) {
            setup.server.add_fault(fault);
        }
        let mut vault = Vault::default();
        let options = || ExportOptions { recheck_budget: 0, ..ExportOptions::default() };
        setup.run(&mut vault, options());
        setup.server.clear_faults();
        setup.run(&mut vault, options());
        assert_complete(&setup, &vault);
        assert_eq!(deletions(&vault, &setup), 0, "{methods:?}");
    }
}

#[test]
fn a_refusal_of_whatever_kind_costs_one_thing_each() {
    // But for the list of chats, which is the run itself.
    each_method_costs_itself_only(|method| vec![strike(When::method(method), Effect::rpc(406, "SOMETHING\u{1b}[2J"))]);
    each_method_costs_itself_only(|method| vec![strike(When::method(method), Effect::rpc(403, "TAKEOUT_REQUIRED"))]);
}

#[test]
fn answers_that_are_cut_anywhere_cost_one_thing_each() {
    let cut = |method: &str, from, bytes| strike(When { from, every: 4, ..When::method(method) }, Effect::Truncate(bytes));
    each_method_costs_itself_only(|method| vec![cut(method, 1, 8), cut(method, 2, 0), cut(method, 3, 61), cut(method, 4, 300)]);
}

#[test]
fn a_list_of_chats_that_is_cut_costs_what_was_cut() {
    for bytes in [0, 4, 50, 400, 1_000, 3_000, 5_001] {
        let setup = Setup::new(small());
        setup.account();
        setup.server.add_fault(strike(When::method("messages.getDialogs"), Effect::Truncate(bytes)));
        let mut vault = Vault::default();
        let source = setup.source(plain());
        let told = match vault.take(&source) {
            Ok(()) => source.outcome().chats_failed > 0 || !vault.problems.is_empty(),
            Err(_) => true,
        };
        // Where only people were cut off whom no chat is with, nothing is missing.
        if !told {
            assert_all_there(&setup, &vault);
        }
        setup.server.clear_faults();
        setup.run(&mut vault, plain());
        assert_complete(&setup, &vault);
    }
}

#[test]
fn a_connection_that_the_server_forgot_is_left() {
    let setup = Setup::new(Options { dcs: vec![2], ..small() });
    setup.account();
    let mut vault = Vault::default();
    setup.server.forget_requests();
    setup.server.add_fault(strike(When { from: 2, ..once("messages.getHistory") }, Effect::rpc(400, "CONNECTION_NOT_INITED")));
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
    let requests = setup.server.requests();
    let refused = requests.iter().find(|request| request.error.as_deref() == Some("CONNECTION_NOT_INITED")).unwrap();
    let later = requests.iter().filter(|request| request.connection == refused.connection && request.at > refused.at).count();
    assert!(later < 40, "only what was under way: {later}");
}

#[test]
fn a_file_that_is_longer_than_it_says() {
    let setup = Setup::new(Options { messages: 20, chats: 2, files: 6, media_bytes: 60_000, gallery: false, ..Options::default() });
    setup.account();
    setup.server.add_fault(strike(When::method("upload.getFile"), Effect::PartLength(100)));
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let files: Vec<usize> =
        vault.media().filter(|(path, _)| path.to_string().contains("-full")).map(|(_, content)| content.len()).collect();
    assert!(!files.is_empty() && vault.broken.is_empty(), "{:?}", vault.broken);
    let whole = Setup::new(Options { messages: 20, chats: 2, files: 6, media_bytes: 60_000, gallery: false, ..Options::default() });
    let mut other = Vault::default();
    whole.run(&mut other, plain());
    let plain_files = other.media().filter(|(path, _)| path.to_string().contains("-full")).map(|(_, content)| content.len() + 100);
    assert_eq!(files, plain_files.collect::<Vec<_>>());
}

/// Where a method's answers name a user, they name another one.
fn renamed(setup: &Setup, id: i64, method: &str, instead: i64) {
    let replaced = Effect::Replace(id.to_le_bytes().to_vec(), instead.to_le_bytes().to_vec());
    setup.server.add_fault(strike(When::method(method), replaced));
}

#[test]
fn a_chat_with_a_number_that_none_can_have() {
    let setup = Setup::new(small());
    setup.account();
    let odd = of_kind(&setup, Kind::Private);
    for method in ["messages.getDialogs", "messages.getHistory", "contacts.getContacts", "contacts.getTopPeers"] {
        renamed(&setup, bare(odd), method, -7);
    }
    let mut vault = Vault::default();
    let source = setup.run(&mut vault, plain());
    assert!(source.outcome().chats_failed > 0);
    assert!(setup.events.notes().iter().any(|note| note.contains("1 of the chats in the list")), "{:?}", setup.events.notes());
    setup.server.clear_faults();
    // What the first run remembers can be read, and nothing of the chat was taken for done.
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
}

#[test]
fn a_chat_that_stays_closed_asks_for_no_takeout_every_day() {
    let setup = Setup::new(small());
    setup.account();
    let closed = of_kind(&setup, Kind::Supergroup { forum: false });
    for method in ["messages.getHistory", "messages.search"] {
        let when = When { peer: Some(bare(closed)), ..When::method(method) };
        setup.server.add_fault(strike(when, Effect::rpc(400, "CHANNEL_PRIVATE")));
    }
    let mut vault = Vault::default();
    for _ in 0..2 {
        setup.run(&mut vault, ExportOptions { recheck_budget: 0, ..ExportOptions::default() });
    }
    let methods = setup.server.methods();
    assert_eq!((methods["account.initTakeoutSession"], methods["account.finishTakeoutSession"]), (1, 1));
    assert!(matches!(vault.coverage(peer(closed)).verdict, Verdict::Incomplete(_)));
}

#[test]
fn what_could_not_be_read_again_is_read_by_the_next_run() {
    let setup = Setup::new(Options { difference_limit: 1, ..small() });
    setup.account();
    let chat = of_kind(&setup, Kind::Private);
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    for id in setup.server.message_ids(chat).into_iter().rev().take(3) {
        setup.server.mutate(&Mutation::Edit { peer: chat, id, text: format!("changed {id}") }).unwrap();
    }
    let when = When { peer: Some(bare(chat)), ..When::method("messages.getHistory") };
    setup.server.add_fault(strike(when, Effect::rpc(400, "PEER_ID_INVALID")));
    let recent = || ExportOptions { recheck: std::time::Duration::from_secs(400 * 24 * 3600), ..plain() };
    setup.run(&mut vault, recent());
    assert!(matches!(vault.coverage(peer(chat)).verdict, Verdict::Incomplete(_)));
    setup.server.clear_faults();
    setup.run(&mut vault, recent());
    assert_eq!(vault.coverage(peer(chat)).verdict, Verdict::Complete);
    let changed = vault.messages(peer(chat)).into_values().filter(|record| record.message.get().contains("changed ")).count();
    assert_eq!(changed, 3);
}

#[test]
fn custom_emoji_that_are_refused_once_come_with_the_next_run() {
    let whole = |fault: bool| {
        let setup = Setup::new(Options { messages: 50, chats: 3, files: 0, ..Options::default() });
        setup.account();
        if fault {
            setup.server.add_fault(strike(When::method("messages.getCustomEmojiDocuments"), Effect::rpc(400, "METHOD_INVALID")));
        }
        let mut vault = Vault::default();
        let source = setup.run(&mut vault, plain());
        assert_eq!(source.outcome().files_failed > 0, fault);
        setup.server.clear_faults();
        let source = setup.run(&mut vault, plain());
        assert_eq!(source.coverage().files_missing, 0, "emoji that Telegram does not know are nothing to wait for");
        // One file may be shown as several kinds; which of them names it is a matter of what comes first.
        let stem = |path: String| path.split_once('.').map_or(path.clone(), |(stem, _)| stem.to_owned());
        vault.media().map(|(path, _)| stem(path.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(whole(true), whole(false));
}

#[test]
fn a_second_login_ends_the_session_of_the_first() {
    let setup = Setup::new(Options::empty());
    setup.account();
    let again = setup.log_in_with("main", LoginWay::Phone(None), &mut Answers::new(setup.server.options()));
    assert!(again.is_ok(), "{:?}", again.err());
    assert_eq!(setup.server.methods()["auth.logOut"], 1);
    assert!(setup.events.notes().iter().any(|note| note.contains("that session is ended")), "{:?}", setup.events.notes());
    // The new one serves.
    setup.run(&mut Vault::default(), plain());
}

#[test]
fn a_lost_connection_is_told_with_its_reason() {
    let setup = Setup::new(small());
    setup.account();
    setup.server.add_fault(strike(When { times: Some(3), ..When::method("connect") }, Effect::Cut));
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert_complete(&setup, &vault);
    let events = setup.events.all();
    let lost =
        |event: &Event| matches!(event, Event::Connection(ConnectionEvent::Disconnected { why, .. }) if why == "the connection was lost");
    assert!(
        events.iter().any(lost) && events.iter().any(|event| matches!(event, Event::Connection(ConnectionEvent::Connected { .. }))),
        "{events:?}"
    );
}

#[test]
fn the_program_says_what_it_waits_for() {
    let program = Program::logged_in(small());
    program.server.add_fault(strike(When { times: Some(3), ..When::method("connect") }, Effect::Cut));
    let run = program.backup(&["--takeout", "never", "--json"], 0);
    let told = run.stdout.lines().filter(|line| line.contains("\"unanswered\":{\"dc\":")).count();
    assert!(told > 0, "{}", run.stdout);
    program.server.clear_faults();
    program.server.add_fault(strike(When { times: Some(3), ..When::method("connect") }, Effect::Cut));
    let run = program.backup(&["--takeout", "never"], 0);
    assert!(run.stderr.contains("waiting for data centre 2 (the connection was lost): next attempt in "), "{}", run.stderr);
}

#[test]
fn another_key_of_the_server_is_said_before_and_after_the_login() {
    let program = Program::new(Options::empty());
    let other = program.file("other.pem");
    std::fs::write(&other, tgvault_test_support::telegram::ServerKey::generate().public_pem()).unwrap();
    let other = other.to_string_lossy().into_owned();
    let options = program.server.options();
    let (phone, code) = (options.phone.clone(), format!("{}\n", options.code));
    let refused = program.with_input(&["login", "--phone", &phone, "--telegram-server-key", &other], &code);
    assert_eq!(refused.code, Some(12), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: check the address and public key of the server"), "{}", refused.stderr);
    assert_eq!(program.with_input(&["login", "--phone", &phone], &code).code, Some(0));
    let refused = program.run(&["chats", "--telegram-server-key", &other]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("another public key"), "{}", refused.stderr);
    assert_eq!(program.run(&["chats"]).code, Some(0));
}

#[test]
fn a_wrong_code_is_the_last_word_when_no_other_comes() {
    let program = Program::new(Options { password: Some("correct horse".into()), ..Options::empty() });
    let phone = program.server.options().phone.clone();
    for (input, last) in [("00000\n", "the code is wrong"), ("22222\nwrong\n", "the password is wrong")] {
        let run = program.with_input(&["login", "--phone", &phone], input);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.trim_end().ends_with(&format!("{last}, and no other was given")), "{}", run.stderr);
        assert_eq!(run.stderr.matches("Telegram sent a code").count(), 1, "{}", run.stderr);
    }
}
