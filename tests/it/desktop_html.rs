//! Pages: every link leads somewhere, every tag is closed, nothing that people wrote is markup.

use std::collections::{BTreeMap, HashSet};
use std::io;

use serde_json::Value;
use serde_json::value::RawValue;
use tgvault::model::account::{AccountSection, Section};
use tgvault::model::peer::{Peer, PeerKind};
use tgvault::model::record::MessageRecord;
use tgvault::render::html::lists::{ListedChat, chat_list, section_page, shown_name, summary};
use tgvault::render::html::media::size_text;
use tgvault::render::html::service::duration;
use tgvault::render::html::{ChatPages, MESSAGES_PER_PAGE, Owner, Pages, assets};
use tgvault::render::media_names::{MediaNamer, chat_folder};
use tgvault::render::shown::Shown;

use super::desktop_export::{Collected, data, read, zone};

#[derive(Default)]
struct Folder(BTreeMap<String, String>);

impl Pages for Folder {
    type Error = io::Error;

    fn page(&mut self, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        let old = self.0.insert(path.to_owned(), String::from_utf8(bytes).unwrap());
        assert_eq!(old, None, "{path} was written twice");
        Ok(())
    }
}

fn render(collected: &Collected) -> (Folder, HashSet<String>) {
    let mut pages = Folder::default();
    let mut files = HashSet::new();
    let mut names = MediaNamer::new(zone());
    assets(&mut pages).unwrap();
    let mut sections = Vec::new();
    for section in &collected.sections {
        names.section(section, &mut |_, _, place| {
            assert!(files.insert(place.to_owned()));
            Ok(())
        });
        sections.extend(section_page(section, &zone(), names.places(), &mut pages).unwrap());
    }
    let mut listed = Vec::new();
    for (index, (chat, messages)) in collected.chats.iter().enumerate() {
        let folder = chat_folder(index + 1, collected.chats.len());
        names.begin_chat(&folder);
        let mut out = ChatPages::new(&shown_name(chat), &folder, zone(), &mut pages);
        for record in messages {
            names.message(record, &mut |_, _, place| {
                assert!(files.insert(place.to_owned()));
                Ok(())
            });
            out.message(Shown::plain(record), names.places()).unwrap();
        }
        let written = out.finish().unwrap();
        listed.push(ListedChat { name: shown_name(chat), chat: chat.clone(), written, folder });
    }
    chat_list(&listed, &mut pages).unwrap();
    summary(collected.sections.first(), None, listed.len(), &sections, &mut pages).unwrap();
    (pages, files)
}

/// The tags of a page: names of opened elements and their attributes. Fails where they are not closed in order.
fn elements(path: &str, page: &str) -> Vec<(String, BTreeMap<String, String>)> {
    const VOID: [&str; 5] = ["meta", "link", "img", "br", "path"];
    let mut open: Vec<String> = Vec::new();
    let mut found = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "{path}: a stray '>' before {:?}", &rest[..at + 20]);
        let end = at + rest[at..].find('>').expect("an end of the tag");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{path}");
            continue;
        }
        let (name, mut attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
        let mut all = BTreeMap::new();
        while let Some((key, value)) = attributes.split_once("=\"") {
            let (value, more) = value.split_once('"').expect("an end of the attribute");
            let value = value.replace("&quot;", "\"").replace("&apos;", "'").replace("&lt;", "<").replace("&amp;", "&");
            let key = key.trim().rsplit(' ').next().unwrap();
            assert_eq!(all.insert(key.to_owned(), value), None, "{path}: {key} twice in {tag}");
            attributes = more;
        }
        if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        found.push((name.to_owned(), all));
    }
    assert_eq!(open, [""; 0], "{path}");
    found
}

fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => assert!(parts.pop().is_some(), "{link} leaves the export"),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn check_links(pages: &Folder, files: &HashSet<String>) -> usize {
    let mut checked = 0;
    for (path, page) in pages.0.iter().filter(|(path, _)| path.ends_with(".html")) {
        for (name, attributes) in elements(path, page) {
            for key in ["href", "src"] {
                let Some(link) = attributes.get(key) else { continue };
                if link.contains(':') {
                    let safe = ["https:", "http:", "mailto:", "tel:"].iter().any(|scheme| link.starts_with(scheme));
                    assert!(safe || (name == "img" && link.starts_with("data:image/svg+xml,")), "{path}: {link}");
                    continue;
                }
                let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
                let file = file.replace("%20", " ").replace("%25", "%");
                let target = if file.is_empty() { path.clone() } else { resolve(path, &file) };
                assert!(files.contains(&target) || pages.0.contains_key(&target), "{path}: nothing at {target}");
                if fragment.starts_with("go_to_message") {
                    assert!(pages.0[&target].contains(&format!("id=\"{fragment}\"")), "{path}: no {fragment} in {target}");
                }
                checked += 1;
            }
        }
    }
    checked
}

/// Checks the pages among the files of an export: tags, links, media. Gives how many links there are.
pub fn check_written(written: &BTreeMap<String, Vec<u8>>) -> usize {
    let is_page = |path: &str| path.ends_with(".html") && !path.contains("/files/");
    let pages = written.iter().filter(|(path, _)| is_page(path));
    let pages = Folder(pages.map(|(path, bytes)| (path.clone(), String::from_utf8(bytes.clone()).unwrap())).collect());
    if let Some(json) = written.get("result.json") {
        check_messages(&serde_json::from_slice(json).unwrap(), &pages);
    }
    check_links(&pages, &written.keys().cloned().collect())
}

/// Pages and `result.json` show the same messages, in the same order.
fn check_messages(json: &Value, pages: &Folder) {
    let list = |key: &str| json[key]["list"].as_array().into_iter().flatten();
    let chats: Vec<&Value> = if json.get("messages").is_some() { vec![json] } else { list("chats").chain(list("left_chats")).collect() };
    for (index, chat) in chats.iter().enumerate() {
        let folder = if json.get("messages").is_some() { String::new() } else { chat_folder(index + 1, chats.len()) };
        let mut shown = Vec::new();
        for number in 1.. {
            let file = if number == 1 { format!("{folder}messages.html") } else { format!("{folder}messages{number}.html") };
            let Some(page) = pages.0.get(&file) else { break };
            for part in page.split("<div class=\"message ").skip(1).filter(|part| !part.contains("id=\"message-") || !is_day(part)) {
                shown.extend(part.split_once(" id=\"message").map(|(_, id)| id.split('"').next().unwrap().parse::<i64>().unwrap()));
            }
        }
        // A record whose message is no object has an id on its page only.
        let told = chat["messages"].as_array().unwrap().iter().map(|message| message["id"].as_i64());
        let told: Vec<i64> = told.enumerate().map(|(index, id)| id.or(shown.get(index).copied()).unwrap()).collect();
        assert_eq!(shown, told, "{folder} {}", chat["name"]);
    }
}

/// Whether this is a date line: those are numbered -1, -2, ….
fn is_day(message: &str) -> bool {
    let id = message.split_once(" id=\"message").and_then(|(_, id)| id.split('"').next()?.parse::<i64>().ok());
    id.is_some_and(|id| (-1_000_000..0).contains(&id)) && message.starts_with("service")
}

#[test]
fn links_and_media_of_an_account_resolve() {
    for (name, at_least) in [("desktop-export/account-7.json", 60), ("sample-export/result.json", 40)] {
        let (collected, _) = read(&data(name));
        let (pages, files) = render(&collected);
        let checked = check_links(&pages, &files);
        assert!(checked > at_least, "{name}: {checked} links");
    }
}

#[test]
fn pages_have_what_readers_of_exports_look_for() {
    let (collected, _) = read(&data("desktop-export/account-7.json"));
    let (pages, _) = render(&collected);
    let page = &pages.0["chats/chat_1/messages.html"];
    for part in [
        "<div class=\"text bold\">\nAda Group\n</div>",
        "<div class=\"message default clearfix\" id=\"message1\">",
        "title=\"01.06.2025 12:01:00 UTC+02:00\">12:01</div>",
        "<div class=\"from_name\">Ada Byron</div>",
        "<a class=\"photo_wrap clearfix pull_left\" href=\"../../chats/chat_1/photos/photo_1@01-06-2025_12-01-00.jpg\">",
        "<a class=\"video_file_wrap clearfix pull_left\"",
        "<img class=\"video_file\"",
        "<img class=\"sticker\"",
        "<div class=\"media_poll\"><div class=\"question bold\">Tea?</div>",
        "media_voice_message",
        "<audio controls",
        "Ada Byron created group «G» with members Ada Byron and Deleted Account",
        "Ada Byron pinned <a href=\"#go_to_message1\">this message</a>",
        "In reply to a message in another chat",
        "<span class=\"spoiler hidden\" tabindex=\"0\">sp</span>",
        "<span class=\"count\">3</span>",
        "rich <strong>text</strong>",
        "Data sent to the bot: «clicked»",
        "Exceeds maximum size, change data exporting settings to download.",
        "Self-destructing photo",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // No action falls through to its bare name.
    assert!(!page.contains("Ada Byron: ") && !page.contains("Somebody"), "an action has no sentence");
    let list = &pages.0["lists/chats.html"];
    assert!(list.contains("Saved Messages") && list.contains("Deleted Account") && list.contains("No messages"));
    let summary = &pages.0["export_results.html"];
    let sections: Vec<&str> = summary.split("<div class=\"label bold\">").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    let order = ["Chats", "Contacts", "Frequent contacts", "Profile pictures", "Stories archive", "Sessions", "Web sessions", "Other data"];
    assert_eq!(sections, order);
    // The first page has nothing to go back to.
    assert!(
        summary.contains("<div class=\"page_header\"><div class=\"content\"><div class=\"text bold\">\nExported Data\n</div></div></div>")
    );
    assert!(summary.contains("<div class=\"page_about details\">A backup of a Telegram account"));
    let back =
        "<div class=\"page_header\"><a class=\"content block_link\" href=\"../../lists/chats.html#allow_back\"><div class=\"text bold\">";
    assert!(page.contains(back));
    let contacts = &pages.0["lists/contacts.html"];
    assert!(contacts.contains("<div class=\"pull_right info details\">20") && !contacts.contains("phone number:"), "{contacts}");
}

fn record(id: i64, message: &str) -> MessageRecord {
    MessageRecord {
        peer: Peer::channel(1),
        id,
        observed: 0,
        run: "r".parse().unwrap(),
        date: Some(1_700_000_000 + id * 60),
        edited: None,
        message: RawValue::from_string(message.into()).unwrap(),
        extra: None,
        media: Vec::new(),
        raw: None,
    }
}

/// A phone call in the private chat with user5, by one of the two.
fn call(id: i64, (actor, user): (&str, i64), more: &str) -> MessageRecord {
    let actor = format!(r#""actor":"{actor}","actor_id":"user{user}""#);
    let message = format!(r#"{{"id":{id},"type":"service",{actor},"action":"phone_call",{more}"text":"","text_entities":[]}}"#);
    MessageRecord { peer: Peer::user(5), ..record(id, &message) }
}

#[test]
fn phone_calls_are_messages_with_a_block() {
    let (bo, ada) = (("Bo Ek", 5), ("Ada Byron", 9));
    let more = |reason: &str| format!(r#""discard_reason":"{reason}","#);
    let messages = [
        call(1, ada, r#""duration_seconds":61,"discard_reason":"hangup","#),
        call(2, ada, &more("missed")),
        call(3, ada, &more("busy")),
        call(4, bo, r#""duration_seconds":3700,"discard_reason":"disconnect","#),
        call(5, bo, &more("missed")),
        call(6, bo, &more("busy")),
        call(7, bo, ""),
    ];
    let pages = pages_of("Bo Ek", &plain(&messages));
    check_links(&pages, &HashSet::new());
    let page = &pages.0["messages.html"];
    let blocks: Vec<(bool, &str, &str)> = page
        .split("<div class=\"media clearfix pull_left media_call")
        .skip(1)
        .map(|block| {
            let part = |class: &str| block.split(&format!("<div class=\"{class}\">")).nth(1).unwrap().split("</div>").next().unwrap();
            assert!(
                block.starts_with("\"><div class=\"fill pull_left\">") || block.starts_with(" success\"><div class=\"fill pull_left\">")
            );
            (block.starts_with(" success\">"), part("title bold"), part("status details"))
        })
        .collect();
    // The name is that of who was called.
    assert_eq!(
        blocks,
        [
            (true, "Bo Ek", "Outgoing (61 seconds)"),
            (false, "Bo Ek", "Cancelled"),
            (false, "Bo Ek", "Outgoing"),
            (true, "Ada Byron", "Incoming (3700 seconds)"),
            (false, "Ada Byron", "Missed"),
            (false, "Ada Byron", "Declined"),
            (false, "Ada Byron", "Incoming"),
        ]
    );
    // Each has its sender and clock, as any message.
    assert_eq!(page.matches("<div class=\"from_name\">Ada Byron</div>").count(), 1);
    assert_eq!(page.matches("<div class=\"from_name\">Bo Ek</div>").count(), 1);
    assert_eq!(page.matches("clearfix joined\"").count(), 5);
    assert_eq!((page.matches("pull_right date details").count(), page.matches("message service").count()), (7, 1));
}

#[test]
fn calls_of_the_oldest_exports_tell_who_called_by_name() {
    let old = |actor: &str| {
        let message = format!(r#"{{"id":1,"type":"service","actor":"{actor}","action":"phone_call","text":""}}"#);
        MessageRecord { peer: Peer::made_up(PeerKind::User, &[b"Bo"]), ..record(1, &message) }
    };
    for (actor, owner, status) in [
        ("Bo Ek", None, "Incoming"),
        ("Ada Byron", None, "Outgoing"),
        ("Bo Ek", Some("Bo Ek"), "Outgoing"),
        ("Bo", Some("Ada Byron"), "Incoming"),
    ] {
        let mut pages = Folder::default();
        let mut out = ChatPages::new("Bo", "", zone(), &mut pages).owned_by(Owner { peer: None, name: owner.map(str::to_owned) });
        out.message(Shown::plain(&old(actor)), MediaNamer::new(zone()).places()).unwrap();
        out.finish().unwrap();
        let block = format!("<div class=\"status details\">{status}</div>");
        assert!(pages.0["messages.html"].contains(&block), "{actor} of {owner:?} is no {status}");
    }
}

#[test]
fn only_links_have_the_class_of_links() {
    let message =
        |id: i64, more: &str| record(id, &format!(r#"{{"id":{id},"type":"message","from":"A","from_id":"user1",{more},"text":""}}"#));
    let missing = r#""file":"(File not included. Change data exporting settings to download.)""#;
    let messages = [
        message(1, &format!(r#"{missing},"media_type":"voice_message""#)),
        message(2, r#""location_information":{"latitude":59.325000,"longitude":18.070000}"#),
    ];
    let page = pages_of("A", &plain(&messages)).0.remove("messages.html").unwrap();
    assert!(page.contains("<div class=\"media clearfix pull_left media_voice_message\">"));
    assert!(page.contains("<a class=\"media clearfix pull_left block_link media_location\" href=\"https://maps.google.com/"));
}

fn plain(messages: &[MessageRecord]) -> Vec<Shown<'_>> {
    messages.iter().map(Shown::plain).collect()
}

fn pages_of(name: &str, messages: &[Shown<'_>]) -> Folder {
    let mut pages = Folder::default();
    let names = MediaNamer::new(zone());
    assets(&mut pages).unwrap();
    let mut out = ChatPages::new(name, "", zone(), &mut pages);
    for message in messages {
        out.message(*message, names.places()).unwrap();
    }
    assert_eq!(out.finish().unwrap().messages, messages.len() as u64);
    pages
}

#[test]
fn long_chats_are_cut_into_pages_that_lead_to_each_other() {
    let messages: Vec<_> = (1..=2500)
        .map(|id| {
            record(
                id,
                &format!(
                    r#"{{"id":{id},"type":"message","from":"A","from_id":"user1","reply_to_message_id":{},"text":"m{id}"}}"#,
                    id - 1000
                ),
            )
        })
        .collect();
    let pages = pages_of("Long", &plain(&messages));
    let names: Vec<&String> = pages.0.keys().filter(|path| path.starts_with("messages")).collect();
    assert_eq!(names, ["messages.html", "messages2.html", "messages3.html"]);
    assert!(check_links(&pages, &HashSet::new()) > 1500);
    let count = |page: &str| pages.0[page].matches("<div class=\"text\">").count();
    assert_eq!([count("messages.html"), count("messages2.html"), count("messages3.html")], [MESSAGES_PER_PAGE, MESSAGES_PER_PAGE, 500]);
    assert!(pages.0["messages2.html"].contains("<a href=\"messages.html#go_to_message5\">this message</a>"));
    assert!(pages.0["messages2.html"].contains("href=\"messages.html\">Previous messages</a>"));
    assert!(pages.0["messages2.html"].contains("href=\"messages3.html\">Next messages</a>"));
    assert!(!pages.0["messages3.html"].contains("Next messages"));
    // Date lines are counted through the chat, and each page begins with one.
    let dates: Vec<usize> =
        names.iter().map(|name| pages.0[*name].matches("<div class=\"message service\" id=\"message-").count()).collect();
    let first = |page: &str, id: usize| {
        pages.0[page].contains(&format!("<div class=\"history\">\n<div class=\"message service\" id=\"message-{id}\">"))
    };
    let second = |id: usize| {
        pages.0["messages2.html"].contains(&format!("Previous messages</a>\n<div class=\"message service\" id=\"message-{id}\">"))
    };
    assert!(first("messages.html", 1) && second(dates[0] + 1), "{dates:?}");
    // The first thousand answer messages that are not there.
    assert!(!pages.0["messages.html"].contains("<a href=\"#go_to_message"));
    assert!(pages.0["messages.html"].contains("In reply to this message (not in the backup)"));
}

#[test]
fn messages_join_by_sender_day_and_time() {
    let message = |from: &str| format!(r#"{{"id":1,"type":"message","from":"{from}","from_id":"user1","text":"x"}}"#);
    let mut messages = vec![record(1, &message("A")), record(2, &message("A")), record(30, &message("A")), record(31, &message("B"))];
    messages.push(record(32, r#"{"id":32,"type":"message","from":"B","from_id":"user1","forwarded_from":"C","text":"x"}"#));
    let page = pages_of("Join", &plain(&messages)).0.remove("messages.html").unwrap();
    let joined: Vec<bool> = page.lines().filter(|l| l.contains("message default")).map(|l| l.contains("clearfix joined")).collect();
    assert_eq!(joined, [false, true, false, false, false]);
}

#[test]
fn what_is_small_on_a_page_is_as_readers_expect() {
    let message =
        |id: i64, more: &str| record(id, &format!(r#"{{"id":{id},"type":"message","from":"A","from_id":"user1",{more},"text":""}}"#));
    let service =
        |id: i64, more: &str| record(id, &format!(r#"{{"id":{id},"type":"service","actor":null,"actor_id":"user3",{more},"text":""}}"#));
    let extra = |record: MessageRecord, extra: &str| MessageRecord { extra: Some(RawValue::from_string(extra.into()).unwrap()), ..record };
    let messages = [
        message(
            1,
            r#""poll":{"question":"Tea?","closed":true,"total_voters":3,"answers":[{"text":"yes","voters":2,"chosen":true},{"text":"no","voters":1,"chosen":false},{"text":"never","voters":0,"chosen":false}]}"#,
        ),
        extra(message(2, r#""forwarded_from":"C""#), r#"{"forwarded_date_unixtime":"1704063600"}"#),
        extra(
            message(
                3,
                r#""reactions":[{"type":"emoji","count":2,"emoji":"👍"},{"type":"emoji","count":1,"emoji":"❤"},{"type":"paid","count":5}]"#,
            ),
            r#"{"own_reactions":[{"type":"emoji","emoji":"❤"}]}"#,
        ),
        service(4, r#""action":"invite_members","members":["Bo",null,"Cy"]"#),
        service(5, r#""action":"suggested_post_success","price_amount_whole":5,"price_amount_nano":"500000000","price_currency":"TON""#),
        service(6, r#""action":"create_group","title":"G","members":[]"#),
        service(7, r#""action":"pin_message","message_id":99"#),
        message(8, r#""giveaway_information":{"quantity":3,"months":1,"until_date":"","additional_prize":"a mug","channels":[1]}"#),
    ];
    let page = pages_of("Small", &plain(&messages)).0.remove("messages.html").unwrap();
    for part in [
        "<div class=\"details\">Poll, closed</div>",
        "<span class=\"dash\">- </span>yes <span class=\"details\">2 votes, chosen vote</span></div>",
        "<span class=\"dash\">- </span>no <span class=\"details\">1 vote</span></div>",
        "</span>never</div>",
        "<div class=\"total details\">3 votes</div>",
        "<div class=\"from_name\">C<span class=\"date details\" title=\"01.01.2024 00:00:00 UTC+01:00\"> 01.01.2024 00:00:00</span></div>",
        "<span class=\"reaction\"><span class=\"emoji\">👍</span>",
        "<span class=\"reaction active\"><span class=\"emoji\">❤</span>",
        "<span class=\"reaction paid\">",
        "Deleted invited Bo, Deleted Account and Cy<",
        "The suggested post was paid: 5.5 TON<",
        "Deleted created group «G»<",
        "Deleted pinned this message (not in the backup)<",
        "3 prizes, also: a mug<",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_photo_of_a_group_is_a_small_link() {
    let (collected, _) = read(&data("desktop-export/account-7.json"));
    let (pages, files) = render(&collected);
    let page = &pages.0["chats/chat_1/messages.html"];
    let photo = page.split("<div class=\"userpic_wrap\"><a class=\"userpic_link\" href=\"").nth(1).expect("a photo of a group");
    let (link, image) = photo.split_once("\"><img class=\"userpic\" style=\"width: 60px; height: 60px\" src=\"").unwrap();
    assert!(files.contains(link.trim_start_matches("../../")) && image.starts_with(&format!("{link}\"")));
}

#[test]
fn sections_tell_local_times_and_what_is_not_there() {
    let section = |section: Section, value: &str| AccountSection {
        v: 1,
        section,
        observed: 0,
        run: "r".parse().unwrap(),
        value: RawValue::from_string(value.into()).unwrap(),
        media: Vec::new(),
        raw: Vec::new(),
    };
    let page = |section: AccountSection| {
        let mut pages = Folder::default();
        let (path, _, _) = section_page(&section, &zone(), MediaNamer::new(zone()).places(), &mut pages).unwrap().unwrap();
        elements(path, &pages.0[path]);
        pages.0.remove(path).unwrap()
    };
    let contacts = r#"{"about":"","list":[{"first_name":"Bo","last_name":"","phone_number":"+46 70","date":"2024-01-01T00:00:00","date_unixtime":"1704103200"}]}"#;
    let contacts = page(section(Section::Contacts, contacts));
    assert!(
        contacts.contains("<div class=\"pull_right info details\">2024-01-01 11:00:00</div>") && contacts.contains(">+46 70<"),
        "{contacts}"
    );
    let stories = r#"[{"date":"x","date_unixtime":"1704103200","expires":"y","expires_unixtime":"1704189600","pinned":true,"media":"(Photo not included. Change data exporting settings to download.)"}]"#;
    let stories = page(section(Section::Stories, stories));
    for part in
        [">2024-01-01 11:00:00<", ">expires: 2024-01-02 11:00:00<", ">(Story not included. Change data exporting settings to download.)<"]
    {
        assert!(stories.contains(part), "{part} {stories}");
    }
    let pictures = page(section(Section::ProfilePictures, r#"[{"date":"2020-01-02T03:04:05","photo":"profile_pictures/lost.jpg"}]"#));
    for part in [">2020-01-02 03:04:05<", ">(Photo unavailable, please try again later)<"] {
        assert!(pictures.contains(part), "{part} {pictures}");
    }
    let sessions =
        r#"{"about":"","list":[{"last_active":"","last_active_unixtime":"1704103200","application_name":null,"device_model":"PC"}]}"#;
    let sessions = page(section(Section::Sessions, sessions));
    assert!(sessions.contains(">2024-01-01 11:00:00<"), "{sessions}");
    assert!(sessions.contains("<div class=\"name bold\">PC</div>") && !sessions.contains("Deleted Account"), "{sessions}");
}

#[test]
fn sizes_and_lengths_are_written_as_telegram_desktop_does() {
    let sizes = [0, 1023, 1024, 1_048_575, 1_048_576, 12_897_485].map(size_text);
    assert_eq!(sizes, ["0 B", "1023 B", "1.0 KB", "1023.9 KB", "1.0 MB", "12.3 MB"]);
    assert_eq!([0, 59, 61, 3599, 3600, 36_061].map(duration), ["00:00", "00:59", "01:01", "59:59", "1:00:00", "10:01:01"]);
}

#[test]
fn forwards_join_within_a_second_and_an_empty_chat_says_so() {
    let forward = |id: i64, unix: i64| {
        let message = format!(
            r#"{{"id":{id},"type":"message","from":"A","from_id":"user3","forwarded_from":"C","forwarded_from_id":"user9","text":"x"}}"#
        );
        MessageRecord { date: Some(1_700_000_000 + unix), ..record(id, &message) }
    };
    let page = pages_of("F", &plain(&[forward(1, 0), forward(2, 1), forward(3, 3)])).0.remove("messages.html").unwrap();
    let joined: Vec<bool> = page.lines().filter(|l| l.contains("message default")).map(|l| l.contains("clearfix joined")).collect();
    assert_eq!(joined, [false, true, false]);
    // Colours by the table of the specification: 3 gives 1, 9 gives 4, one up.
    assert!(page.contains(
        "<div class=\"userpic userpic2\" style=\"width: 42px; height: 42px\"><div class=\"initials\" style=\"line-height: 42px\">A<"
    ));
    assert!(page.contains("userpic userpic5\"") && page.contains(">C<"));
    let empty = pages_of("F", &[]).0.remove("messages.html").unwrap();
    assert!(empty.contains("<div class=\"message service\"><div class=\"body details\">No exported messages</div></div>"));
}

#[test]
fn deletions_and_earlier_versions_are_shown() {
    let messages = [record(5, r#"{"id":5,"type":"message","from":"A","from_id":"user1","text":"after"}"#)];
    let earlier = [record(5, r#"{"id":5,"type":"message","from":"A","from_id":"user1","text":"before"}"#)];
    let shown = [Shown { record: &messages[0], id_shift: 0, deleted: Some(1_700_500_000), earlier: &earlier }];
    let pages = pages_of("Gone", &shown);
    check_links(&pages, &HashSet::new());
    let page = &pages.0["messages.html"];
    assert!(page.contains("Earlier versions: 1") && page.contains("before") && page.contains("after"));
    assert!(page.contains("Deleted; found missing 20 November 2023"));
}

#[test]
fn hostile_messages_stay_text() {
    let bad = r#"\"><script>alert(1)</script><img src=x onerror='a'>"#;
    let keys = [
        format!(r#""from":"{bad}","from_id":"user1","text":"{bad}""#),
        format!(
            r#""from":"A","forwarded_from":"{bad}","author":"{bad}","via_bot":"{bad}","text":["{bad}",{{"type":"{bad}","text":"{bad}"}}]"#
        ),
        format!(r#""from":"A","file":"{bad}","file_name":"{bad}","mime_type":"{bad}","media_type":"audio_file","title":"{bad}","text":"""#),
        format!(r#""from":"A","poll":{{"question":"{bad}","answers":[{{"text":"{bad}","voters":1}}]}},"text":"""#),
        format!(r#""from":"A","location_information":{{"latitude":"{bad}","longitude":1.0}},"place_name":"{bad}","text":"""#),
        format!(r#""from":"A","game_title":"{bad}","game_link":"javascript:{bad}","text":"""#),
        format!(r#""from":"A","text":"","inline_bot_buttons":[[{{"type":"url","text":"{bad}","data":"javascript:{bad}"}}]]"#),
        format!(r#""from":"A","text":"","reactions":[{{"type":"{bad}","count":1,"emoji":"{bad}","recent":[{{"from":"{bad}"}}]}}]"#),
        format!(r#""actor":"{bad}","action":"{bad}","text":"""#),
        format!(r#""actor":"{bad}","action":"create_group","title":"{bad}","members":["{bad}"],"text":"""#),
        format!(r#""actor":"A","action":"suggested_post_success","price_amount_whole":"{bad}","price_currency":"{bad}","text":"""#),
    ];
    let messages: Vec<_> = (1i64..)
        .zip(&keys)
        .map(|(id, keys)| {
            let kind = if keys.contains("\"action\"") { "service" } else { "message" };
            record(id, &format!(r#"{{"id":{id},"type":"{kind}",{keys}}}"#))
        })
        .collect();
    let pages = pages_of("\"><script>alert(1)</script>", &plain(&messages));
    let page = &pages.0["messages.html"];
    for (name, attributes) in elements("messages.html", page) {
        assert!(name != "script" || attributes.contains_key("src"), "a script got in");
        assert!(!attributes.keys().any(|key| key.starts_with("on")), "{name}: {attributes:?}");
        assert!(!attributes.values().any(|value| value.starts_with("javascript:")), "{name}: {attributes:?}");
        assert!(name != "img" || attributes["src"] != "x");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]
    #[test]
    fn any_text_gives_closed_tags(name in ".*", text in ".*", kind in "[a-z_]{0,9}") {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let message = format!(
            r#"{{"id":1,"type":"message","from":{},"from_id":"user1","text":[{{"type":"{kind}","text":{}}},{}],"action":"{kind}"}}"#,
            quoted(&name), quoted(&text), quoted(&text)
        );
        let pages = pages_of(&name, &plain(&[record(1, &message)]));
        elements("messages.html", &pages.0["messages.html"]);
    }
}
