//! What chats and the account have beside messages: it is stored, told in the coverage, comes again only when it changed, and stands in
//! restored JSON and on pages.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tgvault::model::account::Section;
use tgvault::model::coverage::PartCoverage;
use tgvault::model::part::Part;
use tgvault::model::paths::{self, Place, place};
use tgvault::model::reason::Reason;
use tgvault::source::telegram::{Detail, ExportOptions};
use tgvault_test_support::telegram::{ChatInfo, Effect, Fault, Kind, Mutation, Options, Peer, TelegramServer, When};

use crate::export::readable;
use crate::harness::{Setup, Vault, peer, plain};
use crate::program::Program;

fn small() -> Options {
    Options { messages: 300, chats: 30, files: 4, media_bytes: 100_000, gallery: false, ..Options::default() }
}

fn chat_of(server: &TelegramServer, kind: Kind) -> ChatInfo {
    readable(server).into_iter().find(|chat| chat.kind == kind && !chat.left).unwrap_or_else(|| panic!("no {kind:?}"))
}

fn value(vault: &Vault, of: Peer, part: Part) -> Option<Value> {
    let path = paths::chat_part(peer(of), part, &"r".parse().unwrap()).unwrap();
    let file: Value = serde_json::from_slice(vault.files.get(&path)?).unwrap();
    assert_eq!(file["part"], part.key());
    Some(file["value"].clone())
}

fn told(vault: &Vault, of: Peer, part: Part) -> Option<PartCoverage> {
    vault.coverage(peer(of)).parts.into_iter().find(|told| told.part == part.key())
}

/// The parts that came in the last run.
fn came(vault: &Vault) -> Vec<Place> {
    vault.last_run.iter().filter_map(place).filter(|place| matches!(place, Place::ChatPart(..))).collect()
}

const ASKING: [&str; 9] = [
    "channels.getFullChannel",
    "messages.getFullChat",
    "users.getFullUser",
    "channels.getParticipants",
    "photos.getUserPhotos",
    "stories.getPinnedStories",
    "messages.getScheduledHistory",
    "channels.getAdminLog",
    "messages.getPollVotes",
];

fn asked(server: &TelegramServer) -> usize {
    let methods = server.methods();
    ASKING.iter().filter_map(|method| methods.get(*method)).sum()
}

#[test]
fn chats_are_described_with_members_pictures_stories_and_what_is_to_be_sent() {
    let setup = Setup::new(small());
    let options = || ExportOptions { account: false, ..plain() };
    let mut vault = Vault::default();
    setup.run(&mut vault, options());
    assert!(vault.problems.is_empty(), "{:?}", vault.problems);
    for chat in readable(&setup.server).into_iter().filter(|chat| !chat.left && chat.kind != Kind::Deleted) {
        let about = value(&vault, chat.peer, Part::About).unwrap_or_else(|| panic!("nothing about {chat:?}"));
        assert!(about["description"].as_str().is_some_and(|text| text.starts_with("About")), "{about}");
        assert_eq!(about.get("members_count").is_some(), !matches!(chat.peer, Peer::User(_)), "{about}");
    }
    let group = chat_of(&setup.server, Kind::Group);
    let members = value(&vault, group.peer, Part::Members).unwrap();
    assert_eq!(members[0]["role"].as_str().map(|role| ["creator", "member"].contains(&role)), Some(true), "{members}");
    assert!(members.as_array().unwrap().iter().any(|member| member["role"] == "creator"), "{members}");
    let supergroup = chat_of(&setup.server, Kind::Supergroup { forum: false });
    let members = value(&vault, supergroup.peer, Part::Members).unwrap();
    let counted = value(&vault, supergroup.peer, Part::About).unwrap()["members_count"].as_u64().unwrap();
    let ids: BTreeSet<&str> = members.as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap()).collect();
    let held = told(&vault, supergroup.peer, Part::Members).unwrap();
    assert_eq!((held.held, held.counted), (ids.len() as u64, Some(counted)));
    let broadcast = chat_of(&setup.server, Kind::Broadcast);
    assert_eq!(value(&vault, broadcast.peer, Part::About).unwrap()["linked_chat_id"], peer(supergroup_linked(&setup.server)).to_string());
    // Nobody may see who reads a channel: how many do is told.
    let readers = told(&vault, broadcast.peer, Part::Members).unwrap();
    assert!(readers.held == 0 && readers.counted > Some(0) && !readers.is_whole(), "{readers:?}");
    let stored = |path: &Value| {
        let path = path.as_str().unwrap();
        assert!(vault.files.keys().any(|known| known.to_string() == path), "{path}");
    };
    let private = readable(&setup.server).into_iter().find(|chat| value(&vault, chat.peer, Part::Stories).is_some()).unwrap();
    let stories = value(&vault, private.peer, Part::Stories).unwrap();
    assert_eq!(stories.as_array().unwrap().len(), 4);
    stored(&stories[0]["media"]);
    let pictured = readable(&setup.server).into_iter().find_map(|chat| value(&vault, chat.peer, Part::ProfilePictures)).unwrap();
    stored(&pictured[0]["photo"]);
    let saved = chat_of(&setup.server, Kind::Saved);
    let later = value(&vault, saved.peer, Part::ScheduledMessages).unwrap();
    assert_eq!((later[0]["text"].as_str(), later.as_array().unwrap().len()), (Some("Later 1"), 2), "{later}");
    stored(&later[1]["photo"]);

    // Nothing changed: nothing is asked, nothing comes.
    setup.server.forget_requests();
    setup.run(&mut vault, options());
    assert_eq!((asked(&setup.server), came(&vault)), (0, vec![]));

    // A chat with news is asked again, and no other.
    let describe = Mutation::Describe { peer: supergroup.peer, about: "Now <else>".into(), pinned: Some(7) };
    setup.server.mutate(&describe).unwrap();
    setup.server.mutate(&Mutation::Members { peer: supergroup.peer, count: 3 }).unwrap();
    let send = Mutation::Send { peer: supergroup.peer, text: "news".into(), out: false, reply_to: None, file: None };
    setup.server.mutate(&send).unwrap();
    setup.run(&mut vault, options());
    let changed = [Part::About, Part::Members].map(|part| Place::ChatPart(peer(supergroup.peer), part));
    assert_eq!(came(&vault), changed);
    let about = value(&vault, supergroup.peer, Part::About).unwrap();
    assert_eq!((about["description"].as_str(), about["pinned_message_id"].as_i64()), (Some("Now <else>"), Some(7)));
    assert_eq!(told(&vault, supergroup.peer, Part::Members).unwrap().held, 3);
    assert_eq!(asked(&setup.server), 2, "{:?}", setup.server.methods());
}

fn supergroup_linked(server: &TelegramServer) -> Peer {
    server.chats().into_iter().find(|chat| matches!(chat.kind, Kind::Supergroup { .. }) && !chat.left).unwrap().peer
}

#[test]
fn each_detail_has_its_switch() {
    let run = |details: Vec<Detail>| {
        let setup = Setup::new(small());
        let mut vault = Vault::default();
        setup.run(&mut vault, ExportOptions { details, ..plain() });
        let parts: BTreeSet<String> = came(&vault)
            .into_iter()
            .filter_map(|place| if let Place::ChatPart(_, part) = place { Some(part.key().to_owned()) } else { None })
            .collect();
        let sections: BTreeSet<Section> = vault
            .last_run
            .iter()
            .filter_map(|path| if let Some(Place::Account(section)) = place(path) { Some(section) } else { None })
            .collect();
        (parts, sections, asked(&setup.server))
    };
    let (parts, sections, asked) = run(vec![Detail::None]);
    // The account's own description is one of its sections.
    assert_eq!((parts.len(), asked), (0, 2), "{parts:?} {sections:?}");
    let more = [Section::Drafts, Section::Gifts, Section::StoryAlbums, Section::QuickReplies, Section::ProfileMusic];
    assert!(more.iter().all(|section| !sections.contains(section)), "{sections:?}");
    for (detail, part) in [
        (Detail::About, Part::About),
        (Detail::Members, Part::Members),
        (Detail::Pictures, Part::ProfilePictures),
        (Detail::Stories, Part::Stories),
        (Detail::Scheduled, Part::ScheduledMessages),
        (Detail::AdminLog, Part::AdminLog),
    ] {
        let (parts, ..) = run(vec![detail]);
        assert_eq!(parts, BTreeSet::from([part.key().to_owned()]), "{detail:?}");
    }
    for (detail, section) in [
        (Detail::Drafts, Section::Drafts),
        (Detail::Gifts, Section::Gifts),
        (Detail::Stories, Section::StoryAlbums),
        (Detail::QuickReplies, Section::QuickReplies),
        (Detail::Music, Section::ProfileMusic),
    ] {
        let (_, sections, _) = run(vec![detail]);
        assert!(sections.contains(&section), "{detail:?} {sections:?}");
        assert_eq!(more.iter().filter(|more| sections.contains(more)).count(), 1, "{detail:?} {sections:?}");
    }
    let (parts, sections, _) = run(vec![]);
    assert!(!parts.contains("admin_log") && parts.len() == 5, "{parts:?}");
    assert!(more.iter().all(|section| sections.contains(section)), "{sections:?}");
}

#[test]
fn what_the_account_has_collected_is_stored_and_comes_again_only_when_it_changed() {
    let setup = Setup::new(small());
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let section = |vault: &Vault, section: Section| -> Value {
        let file: Value = serde_json::from_slice(&vault.files[&paths::account_section(section).unwrap()]).unwrap();
        file["value"].clone()
    };
    let drafts = section(&vault, Section::Drafts);
    assert_eq!(drafts.as_array().unwrap().len(), 3, "{drafts}");
    assert!(drafts[0]["text"].as_str().is_some_and(|text| text.starts_with("Draft for")), "{drafts}");
    let gifts = section(&vault, Section::Gifts);
    // More than one page of them.
    assert_eq!((gifts.as_array().unwrap().len(), gifts[0]["title"].as_str()), (130, Some("Bear 0")));
    let sticker = gifts[0]["sticker"].as_str().unwrap();
    assert!(vault.files.keys().any(|path| path.to_string() == sticker), "{sticker}");
    let albums = section(&vault, Section::StoryAlbums);
    assert_eq!(albums[0]["stories"], serde_json::json!([2, 4, 6, 8, 10, 12]), "{albums}");
    let replies = section(&vault, Section::QuickReplies);
    assert_eq!((replies[1]["shortcut"].as_str(), replies[1]["messages"].as_array().unwrap().len()), (Some("hello2"), 2), "{replies}");
    let music = section(&vault, Section::ProfileMusic);
    assert_eq!((music[0]["id"].as_i64(), music[0]["media_type"].as_str()), (Some(1), Some("audio_file")), "{music}");
    assert!(music[0].get("from").is_none(), "{music}");
    setup.run(&mut vault, plain());
    let again: Vec<_> = vault.last_run.iter().filter_map(place).collect();
    let steady = |place: &Place| !matches!(place, Place::Account(Section::Sessions | Section::WebSessions));
    assert!(!again.iter().any(steady), "{again:?}");
}

#[test]
fn what_telegram_refuses_is_told_and_costs_nothing_else() {
    let setup = Setup::new(small());
    let supergroup = chat_of(&setup.server, Kind::Supergroup { forum: false });
    let Peer::Channel(id) = supergroup.peer else { panic!("{supergroup:?}") };
    let refuse = |method: &str, peer: Option<i64>, effect: Effect| {
        setup.server.add_fault(Fault { when: When { peer, ..When::method(method) }, then: effect });
    };
    refuse("channels.getParticipants", Some(id), Effect::rpc(400, "CHAT_ADMIN_REQUIRED"));
    for method in ["payments.getSavedStarGifts", "messages.getQuickReplies", "stories.getAlbums", "messages.getAllDrafts"] {
        refuse(method, None, Effect::rpc(400, "METHOD_INVALID"));
    }
    let mut vault = Vault::default();
    let source = setup.run(&mut vault, plain());
    assert!(vault.problems.is_empty(), "{:?}", vault.problems);
    let outcome = source.outcome();
    assert_eq!((outcome.chats_failed, outcome.files_failed, outcome.lists_failed), (0, 0, 0));
    let refused = told(&vault, supergroup.peer, Part::Members).unwrap();
    assert_eq!(refused.because, Some(Reason::NotGiven { error: "CHAT_ADMIN_REQUIRED".into() }));
    assert_eq!(source.coverage().parts_missing, 4);
    crate::export::assert_complete(&setup, &vault);
    // Once it is given, it is there.
    setup.server.clear_faults();
    let send = Mutation::Send { peer: supergroup.peer, text: "news".into(), out: false, reply_to: None, file: None };
    setup.server.mutate(&send).unwrap();
    let source = setup.run(&mut vault, plain());
    assert!(value(&vault, supergroup.peer, Part::Members).is_some());
    assert_eq!((told(&vault, supergroup.peer, Part::Members).unwrap().because, source.coverage().parts_missing), (None, 0));
}

#[test]
fn many_chats_without_news_are_asked_in_turns() {
    let setup = Setup::new(Options { messages: 300, chats: 150, ..small() });
    let run = |vault: &mut Vault, details: Vec<Detail>| {
        setup.server.forget_requests();
        setup.run(vault, ExportOptions { account: false, details, ..plain() });
        (asked(&setup.server), came(vault).len())
    };
    let mut vault = Vault::default();
    assert_eq!(run(&mut vault, vec![Detail::None]), (0, 0));
    let mut all = 0;
    for _ in 0..4 {
        let (requests, parts) = run(&mut vault, vec![]);
        // What is under way when the last of them is made comes to its end.
        assert!(requests <= 150, "{requests}");
        all += parts;
    }
    assert_eq!(run(&mut vault, vec![]), (0, 0));
    let described = readable(&setup.server).into_iter().filter(|chat| value(&vault, chat.peer, Part::About).is_some()).count();
    assert!(described > 100 && all > described, "{described} {all}");
}

#[test]
fn chats_that_do_not_describe_themselves_are_not_asked_in_every_run() {
    let setup = Setup::new(small());
    for method in ["users.getFullUser", "messages.getFullChat", "channels.getFullChannel"] {
        setup.server.add_fault(Fault { when: When::method(method), then: Effect::rpc(400, "USER_ID_INVALID") });
    }
    let options = || ExportOptions { account: false, ..plain() };
    let mut vault = Vault::default();
    let source = setup.run(&mut vault, options());
    assert_eq!((source.outcome().chats_failed, came(&vault)), (0, vec![]));
    setup.server.forget_requests();
    setup.run(&mut vault, options());
    assert_eq!(asked(&setup.server), 0, "{:?}", setup.server.methods());
}

#[test]
fn a_server_that_fails_is_asked_again_by_the_next_run() {
    let setup = Setup::new(small());
    let group = chat_of(&setup.server, Kind::Group);
    let Peer::Group(id) = group.peer else { panic!("{group:?}") };
    setup.server.add_fault(Fault { when: When { peer: Some(id), ..When::method("messages.getFullChat") }, then: Effect::Truncate(40) });
    let mut vault = Vault::default();
    let source = setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert_eq!(source.outcome().chats_failed, 1);
    let verdict = vault.coverage(peer(group.peer)).verdict.to_string();
    assert!(verdict.contains("its about cannot be read"), "{verdict}");
    setup.server.clear_faults();
    let source = setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    assert_eq!(source.outcome().chats_failed, 0);
    assert!(value(&vault, group.peer, Part::About).is_some());
}

#[test]
fn the_log_of_administrators_grows_with_each_run() {
    let setup = Setup::new(small());
    let supergroup = chat_of(&setup.server, Kind::Supergroup { forum: false });
    let Peer::Channel(channel) = supergroup.peer else { panic!("{supergroup:?}") };
    let options = || ExportOptions { account: false, details: vec![Detail::AdminLog], ..plain() };
    let mut vault = Vault::default();
    setup.run(&mut vault, options());
    let lines = |vault: &Vault| -> Vec<i64> {
        let files = vault.files.iter().filter(|(path, _)| place(path) == Some(Place::ChatPart(peer(supergroup.peer), Part::AdminLog)));
        let values = files.map(|(_, content)| serde_json::from_slice::<Value>(content).unwrap()["value"].clone());
        values.flat_map(|value| value.as_array().unwrap().iter().map(|line| line["id"].as_i64().unwrap()).collect::<Vec<_>>()).collect()
    };
    assert_eq!(lines(&vault), (1..=120).collect::<Vec<_>>());
    setup.server.mutate(&Mutation::Administrate { channel, lines: 2 }).unwrap();
    let send = Mutation::Send { peer: supergroup.peer, text: "news".into(), out: false, reply_to: None, file: None };
    setup.server.mutate(&send).unwrap();
    setup.run(&mut vault, options());
    assert_eq!(lines(&vault), (1..=122).collect::<Vec<_>>());
    assert_eq!(told(&vault, supergroup.peer, Part::AdminLog).unwrap().held, 122);
    let broadcast = chat_of(&setup.server, Kind::Broadcast);
    let refused = told(&vault, broadcast.peer, Part::AdminLog).unwrap();
    assert_eq!(refused.because, Some(Reason::NotGiven { error: "CHAT_ADMIN_REQUIRED".into() }));
}

fn json_of(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap()
}

#[test]
fn details_stand_in_restored_json_and_on_pages() {
    let program = Program::logged_in(small());
    let run = program.run(&["backup", "telegram", "--takeout", "never", "--recheck-budget", "0", "--details", "usual,admin-log"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let to = program.file("restored");
    program.unlocked(&["restore", "latest", "--to", &to.to_string_lossy()]);
    let json = json_of(&to);
    assert_eq!(json["drafts"].as_array().unwrap().len(), 3);
    assert_eq!(json["gifts"].as_array().unwrap().len(), 130);
    assert!(to.join(json["gifts"][0]["sticker"].as_str().unwrap()).is_file(), "{}", json["gifts"][0]);
    assert!(to.join(json["profile_music"][0]["file"].as_str().unwrap()).is_file(), "{}", json["profile_music"][0]);
    let supergroup = chat_of(&program.server, Kind::Supergroup { forum: false });
    let chats = json["chats"]["list"].as_array().unwrap();
    let chat = chats.iter().find(|chat| chat["name"] == supergroup.title.as_str()).unwrap();
    assert!(chat["about"]["description"].as_str().is_some_and(|text| text.starts_with("About")), "{}", chat["about"]);
    assert!(!chat["members"].as_array().unwrap().is_empty() && chat["admin_log"].as_array().unwrap().len() == 120);
    let saved = chats.iter().find(|chat| chat["type"] == "saved_messages").unwrap();
    let photo = saved["scheduled_messages"][1]["photo"].as_str().unwrap();
    assert!(to.join(photo).is_file(), "{photo}");
    let pages: Vec<String> = ["gifts", "drafts", "story_albums", "quick_replies", "profile_music"]
        .map(|page| std::fs::read_to_string(to.join(format!("lists/{page}.html"))).unwrap())
        .into();
    assert!(pages[0].contains("Bear 0") && pages[1].contains("&lt;3") && pages[2].contains("Album 1 &amp; more"));
    assert!(pages[3].contains("Hello 1 &amp; welcome"), "{}", pages[3]);
    let about: Vec<_> = std::fs::read_dir(to.join("chats")).unwrap().map(|chat| chat.unwrap().path().join("about.html")).collect();
    let of_members = about.iter().filter_map(|page| std::fs::read_to_string(page).ok()).filter(|page| page.contains("Members (")).count();
    assert!(of_members > 1, "{about:?}");
    let first = std::fs::read_to_string(about[0].with_file_name("messages.html")).unwrap();
    assert!(first.contains("href=\"about.html\""), "{first}");
    // An export of ours that is taken in keeps all of it.
    let other = program.file("other");
    program.unlocked(&["backup", "desktop-export", &to.to_string_lossy(), "--account", "copy"]);
    program.unlocked(&["restore", "latest", "--source", "telegram:copy", "--as", "telegram-desktop", "--to", &other.to_string_lossy()]);
    let again = json_of(&other);
    let chat = again["chats"]["list"].as_array().unwrap().iter().find(|chat| chat["name"] == supergroup.title.as_str()).unwrap();
    assert!(chat["about"]["description"].is_string() && chat["members"].is_array(), "{chat}");
    assert_eq!((again["drafts"].as_array().unwrap().len(), again["gifts"].as_array().unwrap().len()), (3, 130));
}

#[test]
fn coverage_says_what_is_not_whole() {
    let program = Program::logged_in(small());
    let run = program.run(&["backup", "telegram", "--takeout", "never", "--no-account-data", "--details", "members"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let told = program.unlocked(&["coverage"]).stdout;
    let broadcast = chat_of(&program.server, Kind::Broadcast);
    let line = told.lines().find(|line| line.contains(broadcast.title.as_str())).unwrap();
    assert!(line.contains("members: 0 of"), "{line}");
    let usage = program.run(&["backup", "telegram", "--details", "everything"]);
    assert!(usage.code == Some(2) && usage.stderr.contains("quick-replies"), "{}", usage.stderr);
}
