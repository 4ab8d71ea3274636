//! Sequences of imports that a generator makes up, compared with a model: whatever the order, the machines and the forms, what is shown is
//! what the export that was made last says, with every file that any of them had.
//!
//! `TGVAULT_SEEDS` says how many sequences, `tests/joins` tries 10,000.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tgvault::model::peer::Peer;
use tgvault::operations::Stop;
use tgvault::operations::render::{Form, RenderOptions, render};
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::source::desktop::import::{DesktopExport, ImportOptions};
use tgvault::source::desktop::known::Remembered;
use tgvault::target::Overwrite;

use crate::imports::write;
use crate::support::{Log, World};

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A message as Telegram has it at some time.
#[derive(Clone, Debug)]
struct Message {
    id: i64,
    text: String,
    edited: Option<i64>,
    photo: bool,
    hearts: u64,
}

/// An export: when it was made, its form, and the messages that it has.
#[derive(Clone, Debug)]
struct Export {
    made: i64,
    form: &'static str,
    messages: Vec<Message>,
}

const BEGIN: i64 = 1_650_000_000;

/// What goes on in a chat, and the exports that are made of it on the way.
fn exports(random: &mut Random) -> Vec<Export> {
    let mut now: BTreeMap<i64, Message> = BTreeMap::new();
    let mut exports = Vec::new();
    let mut time = BEGIN;
    for _ in 0..2 + random.below(3) {
        for _ in 0..1 + random.below(5) {
            time += 60;
            let id = now.len() as i64 + 1;
            match random.below(4) {
                0 if !now.is_empty() => {
                    let known = now.get_mut(&(1 + random.below(id as u64 - 1) as i64)).unwrap();
                    (known.text, known.edited) = (format!("{} at {time}", random.below(3)), Some(time));
                }
                1 if !now.is_empty() => {
                    now.get_mut(&(1 + random.below(id as u64 - 1) as i64)).unwrap().hearts = random.below(3);
                }
                _ => {
                    let message = Message { id, text: format!("sent {time}"), edited: None, photo: random.one_in(3), hearts: 0 };
                    now.insert(id, message);
                }
            }
        }
        time += 60;
        let from = if random.one_in(3) { random.below(now.len() as u64 + 1) as i64 } else { 0 };
        let messages: Vec<Message> = now.values().filter(|message| message.id > from).cloned().collect();
        let form = ["json", "json", "without files", "page"][random.below(4) as usize];
        exports.push(Export { made: time, form, messages });
    }
    exports
}

fn json_of(export: &Export) -> String {
    let messages: Vec<Value> = export
        .messages
        .iter()
        .map(|message| {
            let mut value = json!({"id": message.id, "type": "message", "date": "x", "date_unixtime": (BEGIN + message.id).to_string()});
            let object = value.as_object_mut().unwrap();
            if let Some(edited) = message.edited {
                object.insert("edited_unixtime".into(), edited.to_string().into());
            }
            object.extend(json!({"from": "Bob", "from_id": "user200"}).as_object().unwrap().clone());
            if message.photo {
                let left_out = "(File not included. Change data exporting settings to download.)".to_owned();
                let path = if export.form == "json" { format!("photos/{}.jpg", message.id) } else { left_out };
                object.insert("photo".into(), path.into());
            }
            object.insert("text".into(), message.text.clone().into());
            object.insert("text_entities".into(), json!([{"type": "plain", "text": message.text}]));
            if message.hearts > 0 {
                object.insert("reactions".into(), json!([{"type": "emoji", "count": message.hearts, "emoji": "x"}]));
            }
            value
        })
        .collect();
    json!({"name": "Bob", "type": "personal_chat", "id": 200, "messages": messages}).to_string()
}

fn page_of(export: &Export) -> String {
    let messages: String = export
        .messages
        .iter()
        .map(|message| {
            let stamp = jiff::Timestamp::from_second(BEGIN + message.id).unwrap().strftime("%d.%m.%Y %H:%M:%S UTC+00:00").to_string();
            let photo = format!("<div class=\"media_wrap\"><a class=\"photo_wrap\" href=\"photos/{}.jpg\"></a></div>", message.id);
            let photo = if message.photo { photo } else { String::new() };
            let hearts = format!("<span class=\"reaction\"><span class=\"emoji\">x</span><span class=\"count\">{}</span></span>", message.hearts);
            let hearts = if message.hearts > 0 { hearts } else { String::new() };
            format!(
                "<div class=\"message default\" id=\"message{}\"><div class=\"body\"><div class=\"date\" title=\"{stamp}\"></div><div class=\"from_name\">Bob</div>{photo}<div class=\"text\">{}</div>{hearts}</div></div>",
                message.id, message.text
            )
        })
        .collect();
    format!("<html><title>Exported Data</title><body class=\"chat_page\">{messages}</body></html>")
}

/// Writes the export into a folder.
fn put(world: &World, number: usize, export: &Export) -> PathBuf {
    let folder = world.root.path().join(format!("e{number}"));
    match export.form {
        "page" => write(&folder, "messages.html", page_of(export).as_bytes()),
        _ => write(&folder, "result.json", json_of(export).as_bytes()),
    }
    for message in export.messages.iter().filter(|message| message.photo && export.form != "without files") {
        write(&folder, &format!("photos/{}.jpg", message.id), format!("photo {}", message.id).as_bytes());
    }
    folder
}

/// What is shown of a message: its text, its hearts, and the file.
type Shown = (String, u64, Option<Vec<u8>>);

fn expected(exports: &[&Export]) -> BTreeMap<i64, Shown> {
    let mut shown = BTreeMap::new();
    for export in exports {
        for message in &export.messages {
            let has_file = |export: &&&Export| export.form != "without files" && export.messages.iter().any(|other| other.id == message.id);
            let file =
                (message.photo && exports.iter().any(|export| has_file(&export))).then(|| format!("photo {}", message.id).into_bytes());
            // A page that shows no reactions may be older than they are.
            let known = shown.get(&message.id).map_or(0, |(_, hearts, _): &Shown| *hearts);
            let hearts = if export.form == "page" && message.hearts == 0 { known } else { message.hearts };
            shown.insert(message.id, (message.text.clone(), hearts, file));
        }
    }
    shown
}

async fn shown(world: &World) -> BTreeMap<i64, Shown> {
    let to = world.root.path().join("out");
    let options = RenderOptions {
        to: to.clone(),
        form: Form::TelegramDesktop { json: true, html: false },
        chats: Vec::new(),
        span: Default::default(),
        media: Vec::new(),
        zone: jiff::tz::TimeZone::UTC,
        overwrite: Overwrite::Always,
        dry_run: false,
        lanes: 1,
    };
    let session = world.session(&world.storage, Some(world.unlock()));
    render(&session, &SnapshotChoice::latest(), options, Arc::new(Log::default()), Stop::new()).await.unwrap();
    let told: Value = serde_json::from_slice(&std::fs::read(to.join("result.json")).unwrap()).unwrap();
    let messages = told["messages"].as_array().unwrap();
    let all: BTreeMap<i64, Shown> = messages
        .iter()
        .map(|message| {
            assert_eq!(message["from_id"].as_str().unwrap_or("user200"), "user200");
            let file = message["photo"].as_str().and_then(|path| std::fs::read(to.join(path)).ok());
            let hearts = message["reactions"][0]["count"].as_u64().unwrap_or_default();
            (message["id"].as_i64().unwrap(), (message["text"].as_str().unwrap().to_owned(), hearts, file))
        })
        .collect();
    assert_eq!(all.len(), messages.len(), "each message once");
    all
}

/// Makes up a sequence, takes it in in any order, on two machines, some of it twice, and compares.
async fn try_seed(seed: u64) {
    let mut random = Random(seed);
    let exports = exports(&mut random);
    let world = World::in_memory().await;
    let mut order: Vec<usize> = (0..exports.len()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    if random.one_in(3) {
        order.push(random.below(exports.len() as u64) as usize);
    }
    let machines = [Arc::new(Remembered::new([1; 32])), Arc::new(Remembered::new([2; 32]))];
    for (turn, &number) in order.iter().enumerate() {
        let folder = put(&world, number, &exports[number]);
        let machine = if random.one_in(3) { 1 } else { 0 };
        let run = format!("r{seed}-{turn}");
        let options = ImportOptions { zone: jiff::tz::TimeZone::UTC, run: run.parse().unwrap(), made: Some(exports[number].made) };
        let source = DesktopExport::open(&folder, options, Arc::clone(&machines[machine])).unwrap().of_chat(Some(Peer::user(200)));
        let session = match machine {
            0 => world.session(&world.storage, Some(world.unlock())),
            _ => world.newcomer(&world.storage, Some(world.unlock())),
        };
        let (summary, said) = world.backup_in(&session, Arc::new(source)).await.unwrap();
        assert!(summary.snapshot.is_some(), "seed {seed}: {said:?}");
    }
    let mut in_time: Vec<&Export> = exports.iter().collect();
    in_time.sort_by_key(|export| export.made);
    let (shown, expected) = (shown(&world).await, expected(&in_time));
    assert!(shown == expected, "seed {seed}, order {order:?}\nexports {exports:#?}\nshown {shown:#?}\nexpected {expected:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_sequences_of_imports_are_shown_as_the_model_says() {
    let seeds = std::env::var("TGVAULT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        try_seed(seed).await;
    }
}
