//! What imports become when they are read: nothing leads out of the folder, pages and JSON of one chat make one chat, and every
//! message has a date.

use std::fs;

use serde_json::{Value, json};

use crate::imports::{chat, export, import, message, run, write};
use crate::restore_as::{files, restored};
use crate::support::World;

/// The messages of a restored single chat, or of the first chat.
fn messages(world: &World, to: &str, arguments: &[&str]) -> Vec<Value> {
    let to = restored(world, to, &[&["--format", "json"], arguments].concat());
    let value: Value = serde_json::from_slice(&fs::read(to.join("result.json")).unwrap()).unwrap();
    let chat = value.get("messages").or_else(|| value.pointer("/chats/list/0/messages")).unwrap();
    chat.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_an_export_only_names_are_words_when_it_is_rendered() {
    let world = World::new().await;
    let paths = [
        "photos/not there.jpg",
        "../../etc/passwd",
        "/etc/passwd",
        "photos/../../x",
        "C:\\x",
        "..",
        "a\0b",
        "\u{1b}[2J/x",
        "(x/../../y)",
        "media/photo/1-y.jpg",
    ];
    let quoted = |path: &str| serde_json::to_string(path).unwrap();
    let mut all: Vec<String> =
        (1..).zip(paths).map(|(id, path)| message(id, "", &format!("\"photo\":{},\"width\":1,\"height\":1,", quoted(path)))).collect();
    let others = format!(
        r#""file":{0},"thumbnail":{0},"contact_vcard":{0},"ph\u006fto":{0},"file":{0},"more":{{"file":{0}}},"text_entities":[{{"type":"custom_emoji","text":"x","document_id":{0}}}],"#,
        quoted("../../../x")
    );
    all.push(message(50, "", &others));
    all.push(message(51, "", r#""photo":"photos/here.jpg","#));
    let folder = export(&world, "export", &chat(&all));
    write(&folder, "photos/here.jpg", b"a photo");
    import(&world, &folder, &[]);
    let to = restored(&world, "out", &[]);
    let text = fs::read_to_string(to.join("result.json")).unwrap();
    assert!(!text.contains("..") && !text.contains("passwd") && !text.contains("not there"), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    let rendered = value["messages"].as_array().unwrap();
    for message in &rendered[..paths.len()] {
        assert_eq!(message["photo"], "(File unavailable, please try again later)", "{message}");
    }
    assert_eq!(rendered[paths.len() + 1]["photo"], "photos/here.jpg");
    let page = fs::read_to_string(to.join("messages.html")).unwrap();
    assert!(page.contains("Unavailable, please try again later.") && !page.contains("passwd"));
    // What the export said is kept, and comes back.
    let original = restored(&world, "original", &["--as", "original"]);
    assert!(files(&original) == files(&folder));
}

/// A page of a chat as Telegram Desktop writes it, with these elements.
fn page(elements: &[String]) -> String {
    format!(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"/><title>Exported Data</title></head><body><div class=\"page_wrap\"><div class=\"page_header\"><div class=\"content\"><div class=\"text bold\">Bo</div></div></div><div class=\"page_body chat_page\"><div class=\"history\">{}</div></div></div></body></html>",
        elements.concat()
    )
}

fn line(id: i64, sentence: &str) -> String {
    format!("<div class=\"message service\" id=\"message{id}\"><div class=\"body details\">{sentence}</div></div>")
}

fn ordinary(id: i64, time: &str, text: &str) -> String {
    format!(
        "<div class=\"message default clearfix\" id=\"message{id}\"><div class=\"pull_left userpic_wrap\"></div><div class=\"body\"><div class=\"pull_right date details\" title=\"{time} UTC+00:00\">x</div><div class=\"from_name\">Ada</div><div class=\"text\">{text}</div></div></div>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pages_tell_without_a_time_gets_the_earliest_that_fits() {
    let world = World::new().await;
    let pages = world.root.path().join("pages");
    let elements = [
        line(-1, "12 January 2024"),
        line(1, "Ada created group «Bo»"),
        ordinary(2, "12.01.2024 10:00:00", "one"),
        line(3, "Ada pinned this message"),
        line(-2, "14 January 2024"),
        line(4, "Ada changed group photo"),
        line(5, "Ada removed group photo"),
        ordinary(6, "14.01.2024 09:00:00", "two"),
        line(-3, "15 January 2024"),
        line(7, "Bo left"),
    ];
    write(&pages, "messages.html", page(&elements).as_bytes());
    import(&world, &pages, &["--time-zone", "UTC", "--made", "2024-02-01"]);
    let all = messages(&world, "out", &[]);
    let when: Vec<(i64, &str, bool)> = all
        .iter()
        .map(|message| {
            let date = message["date_unixtime"].as_str().unwrap().parse::<i64>().unwrap();
            let stamp = jiff::Timestamp::from_second(date).unwrap().to_string();
            assert!(message["date"].as_str().unwrap().len() == 19);
            (message["id"].as_i64().unwrap(), Box::leak(stamp.into_boxed_str()) as &str, message.get("approximate_date").is_some())
        })
        .collect();
    assert_eq!(
        when,
        [
            (1, "2024-01-12T00:00:00Z", true),
            (2, "2024-01-12T10:00:00Z", false),
            (3, "2024-01-12T10:00:00Z", true),
            (4, "2024-01-14T00:00:00Z", true),
            (5, "2024-01-14T00:00:00Z", true),
            (6, "2024-01-14T09:00:00Z", false),
            (7, "2024-01-15T00:00:00Z", true),
        ]
    );
    // The mark stands at the end.
    let text = fs::read_to_string(world.root.path().join("out/result.json")).unwrap();
    assert_eq!(text.matches("\"approximate_date\": true\n  }").count(), 5, "{text}");
    // Once more: nothing is new.
    let again = import(&world, &pages, &["--time-zone", "UTC", "--made", "2024-02-02"]);
    assert_eq!(again["stored_bytes"].as_u64().map(|bytes| bytes < 4_000), Some(true), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_json_of_one_chat_give_what_tells_more_whichever_comes_first() {
    let sent = |id: i64| jiff::Timestamp::from_second(1_600_000_000 + id * 60).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let title = |id: i64| sent(id).strftime("%d.%m.%Y %H:%M:%S").to_string();
    let service = r#"{"id":2,"type":"service","date":"2020-09-13T12:28:40","date_unixtime":"1600000120","actor":"Ada","actor_id":"user77","action":"pin_message","message_id":1,"text":"","text_entities":[]}"#;
    let json = chat(&[message(1, "hello", ""), service.to_owned(), message(3, "before", "")]);
    let pages = page(&[
        line(-1, "13 September 2020"),
        ordinary(1, &title(1), "hello"),
        line(2, "Ada pinned this message"),
        ordinary(3, &title(3), "after"),
    ]);
    for (name, json_made, pages_made) in [("json first", "2021-01-01", "2022-01-01"), ("pages first", "2022-01-01", "2021-01-01")] {
        for swapped in [false, true] {
            let world = World::new().await;
            let folders = [export(&world, "json", &json), world.root.path().join("pages")];
            write(&folders[1], "messages.html", pages.as_bytes());
            let mut runs = vec![(&folders[0], vec!["--made", json_made]), (&folders[1], vec!["--made", pages_made, "--chat", "user5"])];
            if swapped {
                runs.reverse();
            }
            for (folder, arguments) in runs {
                import(&world, folder, &[&arguments[..], &["--time-zone", "UTC"]].concat());
            }
            let all = messages(&world, "out", &[]);
            let told: Vec<Value> = all.iter().map(|m| json!([m["id"], m["from_id"], m["action"], m["date_unixtime"], m["text"]])).collect();
            let newest = if json_made < pages_made { "after" } else { "before" };
            assert_eq!(
                told,
                [
                    json!([1, "user77", null, "1600000060", "hello"]),
                    json!([2, null, "pin_message", "1600000120", ""]),
                    json!([3, "user77", null, "1600000180", newest]),
                ],
                "{name} {swapped}"
            );
            assert!(all.iter().all(|message| message.get("approximate_date").is_none()), "{name}: {all:?}");
            // What reads alike is no change, and nothing else is lost.
            let whole = messages(&world, "history", &["--history"]);
            assert!(whole[0].get("history").is_none(), "{whole:?}");
            assert!(whole[2]["history"].as_array().is_some_and(|earlier| earlier.len() == 1), "{whole:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_an_export_is_is_not_guessed() {
    let world = World::new().await;
    // The id stands behind the messages: who of the two is the other one is known in the end only.
    let late = |first: &str, second: &str| {
        let (one, two) = (message(1, "one", "").replace("user77", first), message(2, "two", "").replace("user77", second));
        format!(r#"{{"type":"personal_chat","messages":[{one},{two}],"name":"Bo","id":5}}"#)
    };
    import(&world, &export(&world, "late", &late("user5", "user77")), &[]);
    // The same person's account: nothing is refused.
    let account = format!(r#"{{"personal_information":{{"user_id":77}},"chats":{{"list":[{}]}}}}"#, chat(&[message(3, "three", "")]));
    import(&world, &export(&world, "account", &account), &[]);
    // A group does not tell it.
    let group = chat(&[message(1, "x", "").replace("user77", "user99")]).replace("personal_chat", "private_group");
    import(&world, &export(&world, "group", &group), &[]);
    // Saved Messages of another.
    let saved = chat(&[message(1, "x", "")]).replace("personal_chat", "saved_messages");
    let folder = export(&world, "saved", &saved);
    let ran = run(&world, &["backup", "desktop-export", folder.to_str().unwrap()]);
    assert!(ran.code == 2 && ran.err.contains("the export belongs to user 5"), "{}", ran.err);
}
