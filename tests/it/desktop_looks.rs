//! Pages as people see them: who wrote what stands out, replies quote, polls look like polls, the list of chats says what is new, and an
//! overview leads to months, photos and videos.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::chats::data;
use crate::desktop_html::check_written;
use crate::imports::{export, import};
use crate::restore_as::{files, restored};
use crate::support::World;

/// The pages that the program restores.
fn pages(world: &World) -> BTreeMap<String, String> {
    let written = files(&restored(world, "pages", &["--format", "html"]));
    assert!(check_written(&written) > 5);
    let pages = written.iter().filter(|(path, _)| path.ends_with(".html"));
    pages.map(|(path, bytes)| (path.clone(), String::from_utf8(bytes.clone()).unwrap())).collect()
}

fn message(id: i64, from: (&str, i64), more: Value) -> Value {
    let unix = 1_650_000_000 + id * 60;
    let mut message = json!({"id": id, "type": "message", "date": "x", "date_unixtime": unix.to_string(), "from": from.0,
        "from_id": format!("user{}", from.1), "text": format!("says {id}")});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn own_messages_stand_out_and_the_list_says_what_is_new() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    let pages = pages(&world);
    let is_own = |page: &str, id: i64| pages[page].contains(&format!("<div class=\"body\" id=\"go_to_message{id}\" data-own=\"1\">"));
    assert!(!is_own("chats/chat_1/messages.html", 1001) && is_own("chats/chat_1/messages.html", 1002));
    let list = &pages["lists/chats.html"];
    let names: Vec<&str> = list.split("<div class=\"name bold\">").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert_eq!(names.last(), Some(&"Old allotment news"), "what was left comes last");
    // The chats that were written to last come first, each with its last message and the day.
    let days: Vec<&str> = list.split("<div class=\"pull_right details\">").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    let unix = |day: &&str| {
        let day = jiff::civil::Date::strptime("%d %B %Y", day).unwrap();
        std::cmp::Reverse(day)
    };
    assert!(days.len() == 5 && days.is_sorted_by_key(unix), "{days:?}");
    assert_eq!(list.matches("<div class=\"preview\">").count(), 5);
    let overview = &pages["chats/chat_1/overview.html"];
    assert!(overview.contains("<a class=\"tool\" href=\"messages.html#go_to_message1001\">May <span class=\"details\">13</span></a>"));
    assert_eq!(overview.matches("<a class=\"shot\" href=\"messages.html#go_to_message100").count(), 2, "{overview}");
    assert!(pages["chats/chat_1/messages.html"].contains("href=\"overview.html\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_single_export_marks_nobody_as_the_owner() {
    let world = World::new().await;
    let said = [message(1, ("Ada", 7), json!({})), message(2, ("Bo", 8), json!({}))];
    let group = json!({"name": "G", "type": "private_supergroup", "id": 5, "messages": said});
    import(&world, &export(&world, "e", &group.to_string()), &[]);
    assert!(!pages(&world)["messages.html"].contains("data-own"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_quote_across_pages_and_polls_show_their_shares() {
    let world = World::new().await;
    let (ada, bo) = (("Ada <b>", 7), ("Bo", 5));
    let mut said: Vec<Value> = (1..=1100).map(|id| message(id, if id % 2 == 0 { ada } else { bo }, json!({}))).collect();
    said.push(message(1101, bo, json!({"reply_to_message_id": 2})));
    said.push(message(
        1102,
        ada,
        json!({"reply_to_message_id": 1101, "photo": "(File not included. Change data exporting settings to download.)"}),
    ));
    let answer = |text: &str, voters: u64, chosen: bool| json!({"text": text, "voters": voters, "chosen": chosen});
    let answers = [answer("yes", 3, true), answer("no", 1, false), answer("never", 0, false)];
    said.push(message(1103, bo, json!({"poll": {"question": "Tea?", "closed": true, "total_voters": 4, "answers": answers}, "text": ""})));
    said.push(message(1104, bo, json!({"reply_to_message_id": 1103})));
    let chat = json!({"name": "Bo", "type": "personal_chat", "id": 5, "messages": said});
    import(&world, &export(&world, "e", &chat.to_string()), &[]);
    let pages = pages(&world);
    let page = &pages["messages2.html"];
    let reply = |id: i64| {
        let (_, message) = page.split_once(&format!("id=\"message{id}\"")).unwrap();
        message.split_once("<div class=\"reply_to details\">").unwrap().1.split("</div></div>").next().unwrap()
    };
    assert!(reply(1101).contains("messages.html#go_to_message2\">"), "{}", reply(1101));
    assert!(reply(1101).contains("<div class=\"reply_name\">Ada &lt;b&gt;</div><div class=\"reply_words\">says 2"), "{}", reply(1101));
    assert!(reply(1104).contains("<div class=\"reply_words\">Poll: Tea?"), "{}", reply(1104));
    for part in [
        "<div class=\"details\">Poll, closed</div>",
        "<div class=\"answer chosen\" style=\"--share: 75%\"><span class=\"dash\">- </span>yes",
        "<div class=\"answer\" style=\"--share: 25%\"><span class=\"dash\">- </span>no",
        "<div class=\"answer\" style=\"--share: 0%\"><span class=\"dash\">- </span>never</div>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Both pages belong to April 2022, and one link leads to its beginning.
    assert_eq!(pages["overview.html"].matches("<a class=\"tool\"").count(), 1);
    assert!(pages["overview.html"].contains("href=\"messages.html#go_to_message1\">April <span class=\"details\">1104</span>"));

    // Taken in again, the pages are what was shown: nothing of their looks is taken for what people wrote.
    let again = World::new().await;
    let folder = again.root.path().join("again");
    for (path, page) in &pages {
        crate::imports::write(&folder, path, page.as_bytes());
    }
    import(&again, &folder, &["--chat", "user5"]);
    let of = |world: &World| {
        let file = &files(&restored(world, "json", &["--format", "json"]))["result.json"];
        let told: Value = serde_json::from_slice(file).unwrap();
        let says = |message: &Value| {
            (message["id"].clone(), message["text"].clone(), message["poll"].clone(), message["reply_to_message_id"].clone())
        };
        told["messages"].as_array().unwrap().iter().map(says).collect::<Vec<_>>()
    };
    assert_eq!(of(&again), of(&world));
}

/// The folders of media that PyPI `tg-export` 2.1.1 knows.
const FOLDERS: [&str; 7] = ["photos", "files", "video_files", "voice_messages", "video_messages", "stickers", "gifs"];

/// The files of each message as that program finds them: line by line, the last id of a message before a link by way of `/chats/`.
/// `tests/readers` asks the program itself.
fn index(page: &str) -> BTreeMap<i64, Vec<String>> {
    let mut found: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut id = None;
    for line in page.lines() {
        let number = line.split("id=\"message").nth(1).and_then(|rest| rest.split('"').next()?.parse::<u32>().ok());
        id = number.map(i64::from).or(id);
        let mut links = line.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).filter(|link| link.contains("/chats/"));
        let file = links.find_map(|link| {
            let (folders, name) = link.rsplit_once('/')?;
            let folder = folders.rsplit('/').next()?;
            FOLDERS.contains(&folder).then(|| format!("{folder}/{name}"))
        });
        if let (Some(id), Some(file)) = (id, file.filter(|file| !file.contains("_thumb"))) {
            found.entry(id).or_default().push(file);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_read_line_by_line_find_every_file() {
    let world = World::new().await;
    import(&world, &data("sample-export"), &[]);
    let written = files(&restored(&world, "out", &[]));
    let told: Value = serde_json::from_slice(&written["result.json"]).unwrap();
    let mut count = 0;
    for (number, chat) in (1..).zip(told["chats"]["list"].as_array().unwrap()) {
        let folder = format!("chats/chat_{number}/");
        let page = String::from_utf8(written[&format!("{folder}messages.html")].clone()).unwrap();
        // The name stands on the line after this, near the top.
        let name = page.lines().take(50).skip_while(|line| !line.contains("text bold")).nth(1);
        assert_eq!(name, Some(chat["name"].as_str().unwrap_or("Saved Messages")), "{folder}");
        let mut wanted: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for message in chat["messages"].as_array().unwrap() {
            let file = ["photo", "file"].iter().find_map(|key| message[*key].as_str()?.strip_prefix(&folder));
            if let Some(file) = file {
                assert!(written.contains_key(&format!("{folder}{file}")));
                wanted.entry(message["id"].as_i64().unwrap()).or_default().push(file.to_owned());
                count += 1;
            }
        }
        assert_eq!(index(&page), wanted, "{folder}");
    }
    assert!(count > 6, "{count}");
}
