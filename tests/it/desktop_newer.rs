//! Exports of newer versions than any that is known, and of 7.x: what they name is kept, shown and given back.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::imports::{comes_back, export, found, import, run, write};
use crate::restore_as::{files, restored};
use crate::support::World;

fn message(id: i64, more: Value) -> Value {
    let mut message = json!({"id": id, "type": "message", "date": "2026-09-21T14:14:20", "date_unixtime": (1_790_000_060 + id).to_string(),
        "from": "Ada", "from_id": "user77"});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn text(text: &str) -> Value {
    json!({"text": text, "text_entities": [{"type": "plain", "text": text}]})
}

fn chat(kind: &str, id: i64, name: &str, messages: &[Value]) -> Value {
    json!({"name": name, "type": kind, "id": id, "messages": messages})
}

fn result(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_found_under_any_key() {
    let world = World::new().await;
    let messages = [
        message(
            1,
            json!({"new_key": {"file": "files/new.bin", "deep": [{"photo": "photos/p.jpg"}, "other/q.dat"]}, "text": "files/new.bin"}),
        ),
        message(2, json!({"sound": "s.ogg", "text": "two"})),
    ];
    let music = json!([{"id": 1, "type": "message", "date": "1970-01-01T00:00:00", "date_unixtime": "0", "file": "profile_music/a song.mp3",
        "file_name": "a song.mp3", "media_type": "audio_file", "title": "The Song", "text": ""}, {"id": 2, "type": "message",
        "file": "(File not included. Change data exporting settings to download.)", "title": "Not here", "text": ""}]);
    let account = json!({"about": "x", "profile_music": music, "badges": [{"picture": "badges/1.png"}],
        "chats": {"about": "y", "list": [chat("personal_chat", 5, "Bo", &messages)]}});
    let folder = export(&world, "e", &account.to_string());
    let named = ["files/new.bin", "photos/p.jpg", "other/q.dat", "s.ogg", "profile_music/a song.mp3", "badges/1.png"];
    named.iter().for_each(|name| write(&folder, name, name.as_bytes()));
    import(&world, &folder, &[]);
    comes_back(&world, &folder, "original");

    let out = restored(&world, "out", &["--as", "telegram-desktop"]);
    let (told, files) = (result(&out), files(&out));
    let message = &told["chats"]["list"][0]["messages"][0];
    assert_eq!(message["text"], "files/new.bin", "what somebody wrote is no path");
    let paths = [
        &message["new_key"]["file"],
        &message["new_key"]["deep"][0]["photo"],
        &message["new_key"]["deep"][1],
        &told["chats"]["list"][0]["messages"][1]["sound"],
        &told["profile_music"][0]["file"],
        &told["badges"][0]["picture"],
    ];
    for (path, name) in paths.into_iter().zip(named) {
        let path = path.as_str().unwrap();
        assert_eq!(files.get(path).map(|content| String::from_utf8_lossy(content).into_owned()).as_deref(), Some(name), "{path}");
    }
    assert!(told["profile_music"][0]["file"].as_str().unwrap().starts_with("profile_music/"));
    assert_eq!(told["profile_music"][1]["file"], "(File not included. Change data exporting settings to download.)");
    let page = String::from_utf8_lossy(&files["lists/profile_music.html"]).into_owned();
    assert!(page.contains("The Song") && page.contains("Not here"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rich_messages_are_read_shown_and_found() {
    let world = World::new().await;
    let blocks = json!([
        {"type": "heading", "level": 1, "text": {"type": "plain", "text": "Shopping"}},
        {"type": "list", "kind": "unordered", "items": [{"task_state": "checked", "text": {"type": "plain", "text": "milk"}}]},
        {"type": "photo", "photo": "photos/1.jpg", "caption": {"text": {"type": "plain", "text": "at the harbour"}, "credit": {"type": "empty"}}},
        {"type": "collage", "items": [{"type": "video", "file": "video_files/v.mp4", "caption": null}]},
        {"type": "file", "file_skip_reason": "file_size", "file_name": "big.bin"},
        {"type": "paragraph", "text": {"type": "concat", "text": [{"type": "plain", "text": "Hel"}, {"type": "bold", "text": {"type": "plain", "text": "lo"}},
            {"type": "text_link", "href": "https://e.org/q", "text": {"type": "plain", "text": "there"}}]}}]);
    let rich = message(1, json!({"rich_message": {"rtl": false, "part": false, "blocks": blocks}}));
    let folder = export(&world, "e", &chat("private_supergroup", 9, "Rich", &[rich]).to_string());
    write(&folder, "photos/1.jpg", b"picture");
    write(&folder, "video_files/v.mp4", b"video");
    import(&world, &folder, &[]);
    comes_back(&world, &folder, "original");
    for words in ["hello", "harbour", "milk", "shopping"] {
        assert_eq!(found(&world, &[words]).len(), 1, "{words}");
    }
    assert_eq!(found(&world, &["hello"])[0].2, "Shopping\n☑ milk\nat the harbour\nHellothere");
    let out = restored(&world, "out", &["--as", "telegram-desktop"]);
    let (told, files) = (result(&out), files(&out));
    let told = &told["messages"][0]["rich_message"]["blocks"];
    assert_eq!(files[told[2]["photo"].as_str().unwrap()], b"picture");
    assert_eq!(files[told[3]["items"][0]["file"].as_str().unwrap()], b"video");
    let page = String::from_utf8_lossy(&files["messages.html"]).into_owned();
    assert!(page.contains("<a href=\"https://e.org/q\"") && page.contains("☑ milk") && page.contains("v.mp4"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rich_message_of_a_page_is_read() {
    let world = World::new().await;
    let text = "<div class=\"text rich_message\">\n<h1>Head</h1>\n<ul><li><input type=\"checkbox\" checked disabled> milk</li><li>rye <b>bread</b></li></ul><table><tr><th>a</th><td>b</td></tr></table><figure><a href=\"photos/1.jpg\"><img src=\"photos/1_thumb.jpg\"></a><figcaption>the harbour</figcaption></figure></div>";
    let page = format!(
        "<html><title>Exported Data</title><body class=\"chat_page\"><div class=\"message default\" id=\"message1\"><div class=\"body\"><div class=\"date\" title=\"01.02.2026 10:00:00 UTC+00:00\"></div><div class=\"from_name\">Ada</div>{text}</div></div></body></html>"
    );
    let folder = world.root.path().join("e");
    write(&folder, "messages.html", page.as_bytes());
    write(&folder, "photos/1.jpg", b"picture");
    import(&world, &folder, &[]);
    assert_eq!(found(&world, &["harbour"])[0].2, "Head\n☑ milk\n• rye bread\na | b\nthe harbour");
    let out = restored(&world, "out", &["--as", "telegram-desktop"]);
    assert!(files(&out).values().any(|content| content == b"picture"));
    assert!(result(&out)["type"].is_string(), "readers die of a chat without a type");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_one_topic_names_the_topic_and_not_the_chat() {
    let topic = |id: i64, title: &str| {
        json!({"id": id, "type": "service", "date": "2026-09-21T14:14:20", "date_unixtime": (1_790_000_060 + id).to_string(), "actor": "Ada",
        "actor_id": "user77", "action": "topic_created", "title": title, "text": "", "text_entities": []})
    };
    let whole = chat("private_supergroup", 33, "Hikers", &[message(1, text("one")), topic(2, "Photos"), message(3, text("three"))]);
    let part = chat("public_supergroup", 33, "Photos", &[topic(2, "Photos"), message(3, text("three")), message(5, text("five"))]);
    for order in [["whole", "part"], ["part", "whole"]] {
        let world = World::new().await;
        for (name, json) in [("whole", &whole), ("part", &part)] {
            export(&world, name, &json.to_string());
        }
        for (day, name) in (16..).zip(order) {
            let folder = world.root.path().join(name);
            import(&world, &folder, &["--made", &format!("2026-10-{day}")]);
        }
        let told = result(&restored(&world, "out", &["--as", "telegram-desktop"]));
        assert_eq!((&told["name"], &told["type"], &told["id"]), (&"Hikers".into(), &"private_supergroup".into(), &33.into()), "{order:?}");
        assert_eq!(told["messages"].as_array().unwrap().len(), 4);
    }
    let world = World::new().await;
    import(&world, &export(&world, "part", &part.to_string()), &[]);
    let told = result(&restored(&world, "out", &["--as", "telegram-desktop"]));
    assert_eq!((&told["name"], told["type"].is_string()), (&"Photos".into(), true), "nothing else is known of it");
    assert_eq!(told["topics"], json!([{"id": 2, "title": "Photos"}]));

    // Of two topics of one forum, each keeps its title, and the chat has one name in whatever order they come.
    let plans = chat("public_supergroup", 33, "Plans", &[topic(7, "Plans"), message(8, text("eight"))]);
    for order in [["part", "plans"], ["plans", "part"]] {
        let world = World::new().await;
        for (day, name) in (16..).zip(order) {
            let folder = export(&world, name, &if name == "part" { &part } else { &plans }.to_string());
            import(&world, &folder, &["--made", &format!("2026-10-{day}")]);
        }
        let told = result(&restored(&world, "out", &["--as", "telegram-desktop"]));
        assert_eq!((&told["name"], &told["id"]), (&"Photos".into(), &33.into()), "{order:?}");
        assert_eq!(told["topics"], json!([{"id": 2, "title": "Photos"}, {"id": 7, "title": "Plans"}]), "{order:?}");
        assert_eq!(told["messages"].as_array().unwrap().len(), 5);
        assert_eq!(found(&world, &["eight", "--chat", "Plans"]).len(), 1);
        // A topic of a new name is known by that, and a whole export knows better than both.
        let renamed = chat("public_supergroup", 33, "Journeys", &[topic(7, "Plans"), message(9, text("nine"))]);
        import(&world, &export(&world, "renamed", &renamed.to_string()), &["--made", "2026-10-20"]);
        let told = result(&restored(&world, "later", &["--as", "telegram-desktop"]));
        assert_eq!(told["topics"], json!([{"id": 2, "title": "Photos"}, {"id": 7, "title": "Journeys"}]), "{order:?}");
        import(&world, &export(&world, "whole", &whole.to_string()), &["--made", "2026-10-21"]);
        let told = result(&restored(&world, "last", &["--as", "telegram-desktop"]));
        assert_eq!((&told["name"], &told["type"]), (&"Hikers".into(), &"private_supergroup".into()), "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_of_chat_is_told_and_kept() {
    let world = World::new().await;
    let folder = export(&world, "e", &chat("private_community", 66, "Comm", &[message(1, text("inside"))]).to_string());
    let ran = run(&world, &["backup", "desktop-export", folder.to_str().unwrap()]);
    assert!(ran.code == 3 && ran.err.contains("private_community"), "{} {}", ran.code, ran.err);
    assert_eq!(found(&world, &["inside"]), [("channel66".into(), 1, "inside".into())]);
    let told = result(&restored(&world, "out", &["--as", "telegram-desktop"]));
    assert_eq!((&told["type"], &told["id"]), (&"private_community".into(), &66.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_read_in_every_form() {
    let world = World::new().await;
    let mut times = Vec::new();
    for (id, keys) in [
        json!({"date_unixtime": 1_790_000_061, "date": "2026-09-21T14:14:21"}),
        json!({"date_unixtime": null, "date": 1_790_000_061}),
        json!({"date_unixtime": null, "date": "2026-09-21T15:14:21+01:00"}),
        json!({"date_unixtime": null, "date": "2026-09-21T14:14:21"}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut message = message(id as i64 + 1, text("x"));
        message.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        if message["date_unixtime"].is_null() {
            message.as_object_mut().unwrap().remove("date_unixtime");
        }
        times.push(message);
    }
    let folder = export(&world, "e", &chat("personal_chat", 5, "Bo", &times).to_string());
    import(&world, &folder, &["--time-zone", "UTC"]);
    let told = result(&restored(&world, "out", &["--as", "telegram-desktop"]));
    for message in told["messages"].as_array().unwrap() {
        assert_eq!((&message["date_unixtime"], &message["date"]), (&"1790000061".into(), &"2026-09-21T16:14:21".into()), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_messages_say_all_they_know() {
    let said = [
        (json!({"action": "suggest_birthday", "day": 29, "month": 2, "year": 1990}), "Ada suggested a birthday: 29.2.1990"),
        (json!({"action": "no_forwards_toggle", "new_value": true}), "Ada disallowed forwarding"),
        (json!({"action": "no_forwards_toggle", "new_value": false}), "Ada allowed forwarding"),
        (
            json!({"action": "no_forwards_request", "expired": true, "new_value": false}),
            "Ada asked to allow forwarding and saving messages; the request has expired",
        ),
        (json!({"action": "new_creator_pending", "new_creator": "Bo"}), "Ada wants Bo to become the owner"),
        (json!({"action": "change_creator", "new_creator": "Bo"}), "Ada made Bo the owner"),
        (json!({"action": "send_premium_gift", "cost": "$4.99", "days": 90}), "for $4.99: Telegram Premium for 90 days"),
        (json!({"action": "topic_edit", "new_title": "Nt", "new_icon_emoji_id": 536}), "«Nt» and its icon to «536»"),
        (json!({"action": "process_suggested_post", "rejected": true, "comment": "too long"}), "Ada rejected the suggested post: too long"),
        (json!({"action": "todo_completions", "completed": [1, 2], "incompleted": [3]}), "as done: #1 and #2; as not done: #3"),
        (json!({"action": "conference_call", "is_active": false, "is_missed": true}), "Cancelled"),
        (json!({"action": "send_stars_gift", "cost": "$1", "amount_whole": 50, "amount_nano": 500_000_000}), "a gift of 50.5 Stars for $1"),
        (json!({"action": "send_ton_gift", "amount_whole": 2, "amount_nano": 5}), "a gift of 2.000000005 TON"),
        (
            json!({"action": "stars_prize", "boost_peer_name": "Ch", "stars": 100, "is_unclaimed": true, "giveaway_msg_id": 3, "transaction_id": "t7"}),
            "A prize of 100 Stars from Ch was won in",
        ),
        (
            json!({"action": "gift_code_prize", "gift_code": "CODE", "boost_peer_id": "channel11", "days": 90, "unclaimed": true, "via_giveaway": false}),
            "for 90 days from channel11 was received as a gift, unclaimed: CODE",
        ),
        (
            json!({"action": "giveaway_results", "winners": 5, "unclaimed": 2, "stars": true}),
            "5 winners of the giveaway, whose prizes are Stars, were selected; 2 prizes are unclaimed",
        ),
        (json!({"action": "suggested_post_refund", "user_initiated": true}), "refunded, as the payer asked"),
        (json!({"action": "future_action", "words": "futureword"}), "Ada: future action (words futureword)"),
    ];
    let world = World::new().await;
    let messages: Vec<Value> = (1i64..)
        .zip(&said)
        .map(|(id, (keys, _))| {
            let mut message = json!({"id": id, "type": "service", "date": "2026-09-21T14:14:20", "date_unixtime": (1_790_000_060 + id).to_string(),
                "actor": "Ada", "actor_id": "user77"});
            message.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            message.as_object_mut().unwrap().insert("text".into(), "".into());
            message
        })
        .collect();
    import(&world, &export(&world, "e", &chat("private_supergroup", 9, "G", &messages).to_string()), &[]);
    let out = restored(&world, "out", &["--as", "telegram-desktop"]);
    let page = fs::read_to_string(out.join("messages.html")).unwrap();
    for (_, words) in said {
        assert!(page.contains(words), "{words}");
    }
}
