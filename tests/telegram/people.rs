//! Who reacted and who voted, where that is asked for; topics of bots.

use grammers_tl_types::{enums, types};
use serde_json::Value;
use tgvault::model::coverage::Notes;
use tgvault::model::paths;
use tgvault::model::reason::Reason;
use tgvault::source::telegram::{Detail, ExportOptions};
use tgvault_test_support::telegram::{ChatInfo, Effect, Fault, Kind, Mutation, Options, Peer, TelegramServer, When, blank_message};

use crate::export::readable;
use crate::harness::{Setup, Vault, peer, plain};

fn small() -> Options {
    Options { messages: 200, chats: 10, files: 0, media_bytes: 0, gallery: false, ..Options::default() }
}

fn chat_of(server: &TelegramServer, kind: Kind) -> ChatInfo {
    readable(server).into_iter().find(|chat| chat.kind == kind).unwrap_or_else(|| panic!("no {kind:?}"))
}

fn thumbs_up(count: i32) -> enums::MessageReactions {
    let reaction = types::ReactionEmoji { emoticon: "👍".into() }.into();
    types::MessageReactions {
        min: false,
        can_see_list: true,
        reactions_as_tags: false,
        results: vec![types::ReactionCount { chosen_order: None, reaction, count }.into()],
        recent_reactions: None,
        top_reactors: None,
    }
    .into()
}

fn words(text: &str) -> enums::TextWithEntities {
    types::TextWithEntities { text: text.into(), entities: vec![] }.into()
}

fn poll(public_voters: bool, total_voters: i32) -> enums::MessageMedia {
    let answer = |text: &str, option: u8| {
        types::PollAnswer { text: words(text), option: vec![option], media: None, added_by: None, date: None }.into()
    };
    let poll = types::Poll {
        id: 5,
        closed: false,
        public_voters,
        multiple_choice: false,
        quiz: false,
        open_answers: false,
        revoting_disabled: false,
        shuffle_answers: false,
        hide_results_until_close: false,
        creator: false,
        subscribers_only: false,
        question: words("Where to?"),
        answers: vec![answer("North", 1), answer("South", 2)],
        close_period: None,
        close_date: None,
        countries_iso2: None,
        hash: 0,
    };
    let results = types::PollResults {
        min: false,
        has_unread_votes: false,
        can_view_stats: false,
        results: None,
        total_voters: Some(total_voters),
        recent_voters: None,
        solution: None,
        solution_entities: None,
        solution_media: None,
    };
    types::MessageMediaPoll { poll: poll.into(), results: results.into(), attached_media: None }.into()
}

fn asked(server: &TelegramServer, method: &str) -> usize {
    server.methods().get(method).copied().unwrap_or_default()
}

#[test]
fn everybody_who_reacted_or_voted_is_named_when_that_is_asked_for() {
    let setup = Setup::new(small());
    let group = chat_of(&setup.server, Kind::Supergroup { forum: false }).peer;
    let mut liked = blank_message();
    (liked.message, liked.reactions) = ("liked".into(), Some(thumbs_up(7)));
    let liked = i64::from(setup.server.post(group, liked).unwrap());
    let voted = |public: bool| {
        let mut message = blank_message();
        message.media = Some(poll(public, 7));
        i64::from(setup.server.post(group, message).unwrap())
    };
    let (open, secret) = (voted(true), voted(false));
    let usual = || ExportOptions { account: false, recheck_budget: 500, ..plain() };
    let mut vault = Vault::default();
    setup.run(&mut vault, usual());
    assert_eq!((asked(&setup.server, "messages.getMessageReactionsList"), asked(&setup.server, "messages.getPollVotes")), (0, 0));

    let mut vault = Vault::default();
    let fresh = Setup { folder: tempfile::tempdir().unwrap(), ..setup };
    let people = || ExportOptions { details: vec![Detail::Reactions, Detail::Votes], ..usual() };
    fresh.run(&mut vault, people());
    let messages = vault.messages(peer(group));
    let json = |id: i64| serde_json::from_str::<Value>(messages[&id].message.get()).unwrap();
    let reacted = json(liked);
    let named = reacted["reactions"][0]["recent"].as_array().unwrap();
    assert_eq!((named.len(), reacted["reactions"][0]["count"].as_i64()), (7, Some(7)), "{reacted}");
    assert!(named.iter().all(|one| one["from_id"].as_str().is_some_and(|id| id.starts_with("user"))), "{reacted}");
    let extra = |id: i64| messages[&id].extra.as_ref().map(|extra| serde_json::from_str::<Value>(extra.get()).unwrap());
    let votes = extra(open).unwrap()["poll_votes"].clone();
    let answers: Vec<&str> = votes.as_array().unwrap().iter().map(|vote| vote["answers"][0].as_str().unwrap()).collect();
    assert_eq!(answers, ["North", "South", "North", "South", "North", "South", "North"], "{votes}");
    assert!(extra(secret).is_none_or(|extra| extra.get("poll_votes").is_none()));
    // What did not change is not asked again, though it is read again.
    fresh.server.forget_requests();
    fresh.run(&mut vault, people());
    assert_eq!((asked(&fresh.server, "messages.getMessageReactionsList"), asked(&fresh.server, "messages.getPollVotes")), (0, 0));
}

#[test]
fn what_telegram_does_not_give_of_people_is_told() {
    let setup = Setup::new(small());
    let group = chat_of(&setup.server, Kind::Supergroup { forum: false }).peer;
    let mut liked = blank_message();
    (liked.message, liked.reactions) = ("liked".into(), Some(thumbs_up(7)));
    setup.server.post(group, liked).unwrap();
    let refusal = Effect::rpc(403, "BROADCAST_FORBIDDEN");
    setup.server.add_fault(Fault { when: When::method("messages.getMessageReactionsList"), then: refusal });
    let mut vault = Vault::default();
    let details = vec![Detail::Reactions];
    let source = setup.run(&mut vault, ExportOptions { account: false, details, ..plain() });
    assert_eq!(source.outcome().chats_failed, 0);
    let Notes(notes) = vault.coverage(peer(group)).notes;
    let is_told = |note: &Reason| matches!(note, Reason::ReactorsNotRead { count: 1.., error } if error == "BROADCAST_FORBIDDEN");
    assert!(notes.iter().any(is_told), "{notes:?}");
}

#[test]
fn topics_of_bots_have_their_names() {
    let setup = Setup::new(small());
    let bot = chat_of(&setup.server, Kind::Bot).peer;
    let Peer::User(id) = bot else { panic!("{bot:?}") };
    for title in ["Recipes", "Weather"] {
        setup.server.mutate(&Mutation::BotTopic { bot: id, title: title.into() }).unwrap();
    }
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let info: Value = serde_json::from_slice(&vault.files[&paths::chat_info(peer(bot)).unwrap()]).unwrap();
    let titles: Vec<&str> = info["topics"].as_array().unwrap().iter().map(|topic| topic["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&"Recipes") && titles.contains(&"Weather"), "{titles:?}");
    // A bot that says so and has none costs nothing.
    let fault = Fault { when: When::method("messages.getForumTopics"), then: Effect::rpc(400, "PEER_ID_INVALID") };
    setup.server.add_fault(fault);
    let send = Mutation::Send { peer: bot, text: "hello".into(), out: true, reply_to: None, file: None };
    setup.server.mutate(&send).unwrap();
    let source = setup.run(&mut vault, plain());
    assert_eq!(source.outcome().chats_failed, 0);
}
