//! What is shown of a chat depends on what is known of each fact and when it was seen, never on the order of imports.

use serde_json::{Value, json};

use crate::imports::{export, found, import, read, run, write};
use crate::restore_as::{files, restored, tgvault};
use crate::support::World;

fn message(id: i64, more: Value) -> Value {
    let mut message = json!({"id": id, "type": "message", "date": "2022-04-15T05:20:00", "date_unixtime": (1_650_000_000 + id).to_string(),
        "from": "Bob", "from_id": "user200"});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn text(text: &str) -> Value {
    json!({"text": text, "text_entities": [{"type": "plain", "text": text}]})
}

fn chat(messages: &[Value]) -> String {
    json!({"name": "Bob", "type": "personal_chat", "id": 200, "messages": messages}).to_string()
}

/// Takes an export in that was made on a day of April 2022.
fn take(world: &World, name: &str, day: u32, more: &[&str]) {
    let made = format!("2022-04-{day:02}T05:20:00Z");
    import(world, &world.root.path().join(name), &[&["--made", &made], more].concat());
}

fn messages(world: &World, to: &str, more: &[&str]) -> Vec<Value> {
    let out = restored(world, to, &[&["--as", "telegram-desktop"], more].concat());
    let file = &files(&out)["result.json"];
    serde_json::from_slice::<Value>(file).unwrap()["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_imports_makes_no_difference() {
    let heart = json!({"reactions": [{"type": "emoji", "count": 1, "emoji": "❤"}], "text": "hi", "text_entities": []});
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for order in orders {
        let world = World::new().await;
        export(&world, "e1", &chat(&[message(1, json!({"text": "hi", "text_entities": []}))]));
        export(&world, "e2", &chat(&[message(1, heart.clone())]));
        export(&world, "e3", &chat(&[message(1, json!({"text": "hi", "text_entities": []}))]));
        for number in order {
            take(&world, &format!("e{number}"), 15 + number, &[]);
        }
        let shown = messages(&world, "out", &[]);
        assert_eq!(shown[0].get("reactions"), None, "{order:?}");
        let at = |day: u32| messages(&world, &format!("at{day}"), &["--at", &format!("2022-04-{day}T06:00:00Z")]);
        let has_heart = |shown: &[Value]| shown[0].get("reactions").is_some();
        assert_eq!([16, 17, 18].map(|day| has_heart(&at(day))), [false, true, false], "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_export_without_files_hides_none() {
    for order in [[1, 2], [2, 1]] {
        let world = World::new().await;
        let photo =
            |path: &str, text: &str| message(1, json!({"photo": path, "photo_file_size": 5, "width": 9, "height": 9, "text": text}));
        export(&world, "e1", &chat(&[photo("photos/p.jpg", "old")]));
        write(&world.root.path().join("e1"), "photos/p.jpg", b"photo");
        export(&world, "e2", &chat(&[photo("(File not included. Change data exporting settings to download.)", "new")]));
        for number in order {
            take(&world, &format!("e{number}"), 15 + number, &[]);
        }
        let out = restored(&world, "out", &["--as", "telegram-desktop"]);
        let files = files(&out);
        let told: Value = serde_json::from_slice(&files["result.json"]).unwrap();
        let message = &told["messages"][0];
        assert_eq!((&message["text"], message["photo"].as_str().map(|path| files[path].as_slice())), (&"new".into(), Some(&b"photo"[..])));
        let page = files.iter().find(|(name, _)| name.ends_with("messages.html")).unwrap().1;
        assert!(String::from_utf8_lossy(page).contains("photo_wrap"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_shown_as_it_was_seen_by_then() {
    let world = World::new().await;
    let poll = |votes: u32| {
        let poll = json!({"question": "Q", "closed": false, "total_voters": votes, "answers": [{"text": "yes", "voters": votes, "chosen": false}]});
        message(1, json!({"poll": poll, "text": "", "text_entities": []}))
    };
    export(&world, "e1", &chat(&[poll(0)]));
    let later = json!({"id": 2, "type": "message", "date": "x", "date_unixtime": "1650600000", "from": "Bob", "from_id": "user200", "text": "later"});
    export(&world, "e2", &chat(&[poll(7), later]));
    take(&world, "e1", 16, &[]);
    take(&world, "e2", 24, &[]);
    let votes = |shown: &[Value]| shown[0]["poll"]["total_voters"].as_i64().unwrap();
    let before = messages(&world, "before", &["--at", "2022-04-17T05:20:00Z"]);
    assert_eq!((votes(&before), before.len()), (0, 1), "messages are not shown before they were sent");
    let now = messages(&world, "now", &[]);
    assert_eq!((votes(&now), now.len()), (7, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_exports_keep_their_times_and_forms_change_nothing() {
    let world = World::new().await;
    let old = json!({"id": 1, "type": "message", "date": "2022-04-15T05:20:01", "edited": "2022-04-15T05:21:00", "from": "Bob",
        "from_id": 4_294_967_496_i64, "text": "x"});
    export(&world, "e1", &chat(&[old]));
    export(
        &world,
        "e2",
        &chat(&[message(
            1,
            json!({"edited": "2022-04-15T05:21:00", "edited_unixtime": "1650000060", "text": "x",
        "text_entities": [{"type": "plain", "text": "x"}]}),
        )]),
    );
    take(&world, "e1", 16, &["--time-zone", "UTC"]);
    let shown = messages(&world, "first", &[]);
    assert_eq!((&shown[0]["date"], &shown[0]["date_unixtime"]), (&"2022-04-15T07:20:01".into(), &"1650000001".into()), "in this zone");
    take(&world, "e2", 17, &[]);
    let output = tgvault(&world, &["cat", "latest", "--chat", "user200", "--history"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.matches('x').count(), 1, "{text}");

    // Taken in again by somebody else, it says the same.
    let again = World::new().await;
    let out = restored(&world, "out", &["--as", "telegram-desktop"]);
    let ran = run(&again, &["backup", "desktop-export", out.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(messages(&again, "out", &[])[0]["date_unixtime"], "1650000001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_page_counts_more_than_an_earlier_edit() {
    let world = World::new().await;
    export(
        &world,
        "e1",
        &chat(&[message(1, json!({"edited": "x", "edited_unixtime": "1650000060", "text": "first edit"})), message(2, text("same"))]),
    );
    let html = |id: i64, text: &str| {
        format!(
            "<div class=\"message default\" id=\"message{id}\"><div class=\"body\"><div class=\"date\" title=\"15.04.2022 05:20:0{id} UTC+00:00\"></div><div class=\"from_name\">Bob</div><div class=\"text\">{text}</div></div></div>"
        )
    };
    let page =
        format!("<html><title>Exported Data</title><body class=\"chat_page\">{}{}</body></html>", html(1, "second edit"), html(2, "same"));
    write(&world.root.path().join("e2"), "messages.html", page.as_bytes());
    for order in [["e1", "e2"], ["e2", "e1"]] {
        let account = order.concat();
        for name in order {
            take(&world, name, if name == "e1" { 16 } else { 17 }, &["--account", &account, "--chat", "user200"]);
        }
        let source = format!("telegram:{account}");
        let out = restored(&world, &account, &["--as", "telegram-desktop", "--source", &source]);
        let told: Value = serde_json::from_slice(&files(&out)["result.json"]).unwrap();
        let first = &told["messages"][0];
        assert_eq!((&first["text"], &first["from_id"]), (&"second edit".into(), &"user200".into()), "{order:?}");
        assert_eq!((&told["type"], &told["name"]), (&"personal_chat".into(), &"Bob".into()));
        assert_eq!(found(&world, &["second", "--source", &source]).len(), 1);
        assert_eq!(found(&world, &["first", "--source", &source]).len(), 0);
        assert_eq!(found(&world, &["first", "--history", "--source", &source]).len(), 1, "what it said before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_became_a_supergroup_is_one_chat() {
    const OFFSET: i64 = 1_000_000_000;
    let of = |kind: &str, id: i64, messages: &[Value]| json!({"name": "Hikers", "type": kind, "id": id, "messages": messages}).to_string();
    let old = |shift: i64| {
        [message(1, text("one")), message(2, text("two")), message(3, json!({"reply_to_message_id": 2 - shift, "text": "three"}))].map(
            |mut message| {
                message["id"] = (message["id"].as_i64().unwrap() - shift).into();
                message
            },
        )
    };
    let mut new = old(OFFSET).to_vec();
    new.push(message(700, text("four")));
    for order in [["group", "super"], ["super", "group"]] {
        let world = World::new().await;
        export(&world, "group", &of("private_group", 501, &old(0)));
        export(&world, "super", &of("private_supergroup", 1001, &new));
        for (day, name) in (16..).zip(order) {
            take(&world, name, day, &[]);
        }
        let mut ids: Vec<i64> =
            messages(&world, "out", &["--chat", "Hikers"]).iter().map(|message| message["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1 - OFFSET, 2 - OFFSET, 3 - OFFSET, 700], "{order:?}");
        for words in ["one", "two", "three", "four"] {
            assert_eq!(found(&world, &[words]).len(), 1, "{words} {order:?}");
        }
        let output = tgvault(&world, &["cat", "latest", "--chat", "Hikers"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).matches("two").count(), 1, "{}", String::from_utf8_lossy(&output.stderr));
    }

    // Another group of the same name is another group.
    let world = World::new().await;
    let mut others = old(0);
    others.iter_mut().for_each(|message| message["from_id"] = "user999".into());
    export(&world, "group", &of("private_group", 501, &others));
    export(&world, "super", &of("private_supergroup", 1001, &new));
    take(&world, "group", 16, &[]);
    take(&world, "super", 17, &[]);
    assert_eq!(found(&world, &["one"]).len(), 2);
}

/// Whether an entry is a batch of a chat's log.
fn is_log(entry: &Value) -> bool {
    entry["path"].as_str().is_some_and(|path| path.starts_with("chats/") && path.ends_with(".jsonl"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_machines_stored_is_one_account() {
    let world = World::new().await;
    let machine = |name: &'static str, export: &str| {
        let folder = world.root.path().join(export);
        let state = world.root.path().join(name);
        let identity = world.root.path().join("identity");
        std::fs::write(&identity, tgvault::crypt::keys::expose(&world.secret)).unwrap();
        std::fs::set_permissions(&identity, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tgvault"));
        command.env_clear().env("HOME", world.root.path()).env("TZ", "UTC").env("PATH", "/nowhere");
        command.arg("--repo").arg(world.root.path().join("vault")).arg("--state-dir").arg(state);
        if name != "state" {
            // A new machine becomes a writer with the key.
            command.arg("-i").arg(identity);
        }
        let output = command.args(["backup", "desktop-export", "--host", name]).arg(folder).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    export(&world, "e1", &chat(&[message(1, text("message one"))]));
    export(&world, "e2", &chat(&[message(2, text("message two"))]));
    export(&world, "e3", &chat(&[message(3, text("message three"))]));
    machine("state", "e1");
    machine("laptop", "e2");
    machine("state", "e3");
    let ids = |shown: Vec<Value>| shown.iter().map(|message| message["id"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(ids(messages(&world, "out", &[])), [1, 2, 3]);
    assert_eq!(found(&world, &["message"]).len(), 3);
    // So it is for every command that looks at the latest state, and for a restore of all sources.
    let logs = |arguments: &[&str]| read(&world, "entry", arguments).iter().filter(|entry| is_log(entry)).count();
    assert_eq!((logs(&["ls", "latest"]), logs(&["find", "--snapshot", "latest", "*.jsonl"])), (3, 3));
    assert_eq!(read(&world, "summary", &["stats"])[0]["messages"], 3);
    let first = read(&world, "snapshot", &["snapshots"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(read(&world, "summary", &["diff", &first, "latest", "--chats"])[0]["messages"]["came"], 2);
    let all = restored(&world, "all", &["--all-sources"]);
    let told: Value = serde_json::from_slice(&files(&all)["telegram-main/result.json"]).unwrap();
    assert_eq!(ids(told["messages"].as_array().unwrap().clone()), [1, 2, 3]);
    assert_eq!(ids(messages(&world, "laptop-out", &["--host", "laptop"])), [1, 2], "who asks for one machine gets what that knew");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_exports_are_taken_in_one_after_the_other() {
    let world = World::new().await;
    for (name, id) in
        [("old/ChatExport_2022-04-16", 1), ("old/ChatExport_2022-04-17", 2), ("old/ChatExport_2022-04-18 (1)", 3), ("alone", 4)]
    {
        export(&world, name, &chat(&[message(id, text("message"))]));
    }
    let path = |name: &str| world.root.path().join(name).to_str().unwrap().to_owned();
    let ran = run(&world, &["backup", "desktop-export", &path("old"), &path("alone")]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(found(&world, &["message"]).len(), 4);
    let ran = run(&world, &["backup", "desktop-export", &path("old/ChatExport_2022-04-16"), &path("nowhere")]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_stats_know_what_an_earlier_export_told() {
    // A service message, of which a page tells the day only, at the turn of the year; and a photo that a later export leaves out.
    let world = World::new().await;
    let unix = 1_640_995_100; // 2021-12-31T23:58:20Z
    let service = json!({"id": 2, "type": "service", "date": "x", "date_unixtime": unix.to_string(), "actor": "Bob", "actor_id": "user200",
        "action": "joined_telegram", "text": ""});
    let photo = |path: &str| {
        json!({"id": 3, "type": "message", "date": "x", "date_unixtime": (unix + 30).to_string(), "from": "Bob", "from_id": "user200", "photo": path,
            "text": "look"})
    };
    export(&world, "e1", &chat(&[service, photo("photos/p.jpg")]));
    write(&world.root.path().join("e1"), "photos/p.jpg", b"photo");
    export(&world, "e2", &chat(&[photo("(File not included. Change data exporting settings to download.)")]));
    let page = "<html><title>Exported Data</title><body class=\"chat_page\"><div class=\"message service\" id=\"message-1\"><div class=\"body details\">1 January 2022</div></div><div class=\"message service\" id=\"message2\"><div class=\"body details\">Bob joined Telegram</div></div></body></html>";
    write(&world.root.path().join("e3"), "messages.html", page.as_bytes());
    take(&world, "e1", 16, &[]);
    take(&world, "e2", 17, &[]);
    take(&world, "e3", 18, &["--chat", "user200"]);
    let shown = messages(&world, "out", &[]);
    assert_eq!(shown[0]["date_unixtime"], unix.to_string());
    // One message has one time in all commands and filters.
    let dates = |more: &[&str]| -> Vec<Value> {
        let hits = read(&world, "found", &[&["search", "--till", "2021-12-31T23:58:40Z"], more].concat());
        hits.iter().map(|hit| hit["date"].clone()).collect()
    };
    assert_eq!(dates(&[]), [json!("2021-12-31T23:58:20Z")]);
    assert_eq!(read(&world, "found", &["search", "--from", "2022-01-01T00:00:00Z"]).len(), 0);
    let years = &read(&world, "chat_stats", &["stats"])[0]["by_year"];
    assert_eq!(*years, json!({"2021": 2}));
    // What is stored of a file is named wherever it is found.
    let hits = read(&world, "found", &["search", "--media", "photos"]);
    assert_eq!(hits[0]["stored"][0]["exported_as"], "photos/p.jpg", "{hits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_form_alone_is_no_change_for_who_reads() {
    let world = World::new().await;
    let says = |id: i64, more: Value| message(id, more);
    let reaction = |count: u64| json!({"reactions": [{"type": "emoji", "count": count, "emoji": "x"}], "text": "liked"});
    export(&world, "e1", &chat(&[says(1, text("same words")), says(2, reaction(1)), says(3, json!({"text": "nobody"}))]));
    let page = |id: i64, text: &str| {
        format!(
            "<div class=\"message default\" id=\"message{id}\"><div class=\"body\"><div class=\"date\" title=\"15.04.2022 05:20:0{id} UTC+00:00\"></div><div class=\"from_name\">Bob</div><div class=\"text\">{text}</div></div></div>"
        )
    };
    let pages = format!("<html><title>Exported Data</title><body class=\"chat_page\">{}</body></html>", page(1, "same words"));
    write(&world.root.path().join("e2"), "messages.html", pages.as_bytes());
    export(&world, "e3", &chat(&[says(2, reaction(5))]));
    take(&world, "e1", 16, &[]);
    take(&world, "e2", 17, &["--chat", "user200"]);
    take(&world, "e3", 18, &[]);
    let hits = read(&world, "found", &["search", "--history", "same words"]);
    assert_eq!(hits.len(), 1, "a page says the same: {hits:?}");
    let printed = tgvault(&world, &["cat", "latest", "--chat", "user200", "--history"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(printed.matches("(before: ").count(), 1, "{printed}");
    assert!(printed.contains("(before: liked\n       x 1)"), "{printed}");
    // Nobody is said to be gone of whom nothing is known.
    let mut nameless = says(4, text("who"));
    nameless.as_object_mut().unwrap().retain(|key, _| !key.starts_with("from"));
    let mut gone = says(5, text("gone"));
    gone["from"] = Value::Null;
    export(&world, "e4", &chat(&[nameless, gone]));
    take(&world, "e4", 19, &[]);
    let printed = String::from_utf8(tgvault(&world, &["cat", "latest", "--chat", "user200"]).stdout).unwrap();
    assert!(printed.contains("(sender unknown)  #4") && printed.contains("Deleted Account  #5"), "{printed}");
    let lines = String::from_utf8(tgvault(&world, &["search", "who"]).stdout).unwrap();
    assert!(lines.contains("#4") && !lines.contains("Deleted Account"), "{lines}");
}
