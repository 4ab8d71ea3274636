//! Sequences of imports and live backups that a generator makes up, compared with a model: whatever the order, the machines, the forms and
//! the interruptions, what is shown is what was seen last, with every file that any of them had; and what is shown as of an earlier time is
//! what was known of it.
//!
//! `TGVAULT_SEEDS` says how many sequences, `TGVAULT_FIRST_SEED` where to begin; `tests/joins` tries 10,000.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tgvault::model::entry::EntryPath;
use tgvault::model::peer::Peer;
use tgvault::operations::chats::conversation::Span;
use tgvault::operations::render::{Form as Written, RenderOptions, render};
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::operations::{OperationError, Session, Stop};
use tgvault::source::desktop::import::{DesktopExport, ImportOptions};
use tgvault::source::desktop::known::Remembered;
use tgvault::source::{Before, Item, Problem, Sink, Source, SourceError, SourceName, Stopped};
use tgvault::state::StateFolder;
use tgvault::target::Overwrite;

use crate::imports::{Scripted, write};
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

/// How a state of the chat is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// JSON, with a note in the place of each file.
    WithoutFiles,
    /// JSON as before 2021: local times, and no others.
    Old,
    Page,
    /// Two messages on each page.
    Pages,
    /// Pages of a whole account, which do not tell whose chat it is.
    AccountPages,
    /// A live backup.
    Live,
}

const FORMS: [Form; 9] =
    [Form::Json, Form::Json, Form::Json, Form::WithoutFiles, Form::Old, Form::Page, Form::Pages, Form::AccountPages, Form::Live];

/// A message as Telegram has it at some time.
#[derive(Clone, Debug)]
struct Message {
    id: i64,
    sent: i64,
    text: String,
    edited: Option<i64>,
    photo: bool,
    hearts: u64,
}

/// A state of the chat: when it was seen, in which form, and the messages that it has.
#[derive(Clone, Debug)]
struct Export {
    made: i64,
    form: Form,
    messages: Vec<Message>,
}

const BEGIN: i64 = 1_650_000_000;

/// What each message said, from which time on.
type Past = BTreeMap<i64, Vec<(i64, String)>>;

/// What goes on in a chat, and what is taken in on the way.
fn exports(random: &mut Random) -> (Vec<Export>, Past) {
    let mut now: BTreeMap<i64, Message> = BTreeMap::new();
    let (mut exports, mut past) = (Vec::new(), Past::new());
    let mut time = BEGIN;
    for _ in 0..2 + random.below(4) {
        for _ in 0..1 + random.below(5) {
            time += 60;
            let id = now.len() as i64 + 1;
            match random.below(4) {
                0 if !now.is_empty() => {
                    let known = now.get_mut(&(1 + random.below(id as u64 - 1) as i64)).unwrap();
                    (known.text, known.edited) = (format!("{} at {time}", random.below(3)), Some(time));
                    past.entry(known.id).or_default().push((time, known.text.clone()));
                }
                1 if !now.is_empty() => {
                    now.get_mut(&(1 + random.below(id as u64 - 1) as i64)).unwrap().hearts = random.below(3);
                }
                _ => {
                    let text = format!("sent {time}");
                    past.entry(id).or_default().push((time, text.clone()));
                    now.insert(id, Message { id, sent: time, text, edited: None, photo: random.one_in(3), hearts: 0 });
                }
            }
        }
        time += 60;
        let from = if random.one_in(3) { random.below(now.len() as u64 + 1) as i64 } else { 0 };
        let messages: Vec<Message> = now.values().filter(|message| message.id > from).cloned().collect();
        exports.push(Export { made: time, form: FORMS[random.below(FORMS.len() as u64) as usize], messages });
    }
    (exports, past)
}

fn stamp(unix: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(unix).unwrap()
}

fn json_of_message(form: Form, message: &Message) -> Value {
    let iso = |unix| stamp(unix).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let mut value = json!({"id": message.id, "type": "message", "date": iso(message.sent)});
    let object = value.as_object_mut().unwrap();
    match form {
        Form::Old => {
            // Versions of then tell of no edit by the beginning of all time.
            object.insert("edited".into(), message.edited.map_or_else(|| "1970-01-01T00:00:00".to_owned(), iso).into());
        }
        _ => {
            object.insert("date_unixtime".into(), message.sent.to_string().into());
            object.extend(message.edited.map(|edited| ("edited_unixtime".to_owned(), edited.to_string().into())));
        }
    }
    object.extend(json!({"from": "Bob", "from_id": "user200"}).as_object().unwrap().clone());
    if message.photo {
        let path = match form {
            Form::WithoutFiles => "(File not included. Change data exporting settings to download.)".to_owned(),
            Form::Live => live_photo(message.id),
            _ => format!("photos/{}.jpg", message.id),
        };
        object.insert("photo".into(), path.into());
    }
    object.insert("text".into(), message.text.clone().into());
    if form != Form::Old {
        object.insert("text_entities".into(), json!([{"type": "plain", "text": message.text}]));
    }
    if message.hearts > 0 {
        object.insert("reactions".into(), json!([{"type": "emoji", "count": message.hearts, "emoji": "x"}]));
    }
    value
}

fn json_of(export: &Export) -> String {
    let messages: Vec<Value> = export.messages.iter().map(|message| json_of_message(export.form, message)).collect();
    json!({"name": "Bob", "type": "personal_chat", "id": 200, "messages": messages}).to_string()
}

fn page_of(messages: &[Message], up: &str, folder: &str) -> String {
    let messages: String = messages
        .iter()
        .map(|message| {
            let stamp = stamp(message.sent).strftime("%d.%m.%Y %H:%M:%S UTC+00:00").to_string();
            let photo =
                format!("<div class=\"media_wrap\"><a class=\"photo_wrap\" href=\"{up}{folder}photos/{}.jpg\"></a></div>", message.id);
            let photo = if message.photo { photo } else { String::new() };
            let hearts = format!("<span class=\"reaction\"><span class=\"emoji\">x</span><span class=\"count\">{}</span></span>", message.hearts);
            let hearts = if message.hearts > 0 { hearts } else { String::new() };
            format!(
                "<div class=\"message default\" id=\"message{}\"><div class=\"body\"><div class=\"date\" title=\"{stamp}\"></div><div class=\"from_name\">Bob</div>{photo}<div class=\"text\">{}</div>{hearts}</div></div>",
                message.id, message.text
            )
        })
        .collect();
    format!(
        "<html><title>Exported Data</title><body><div class=\"page_header\"><div class=\"text bold\">Bob</div></div><div class=\"chat_page\">{messages}</div></body></html>"
    )
}

fn photo(id: i64) -> Vec<u8> {
    format!("photo {id}").into_bytes()
}

fn live_photo(id: i64) -> String {
    format!("media/photo/{id}-y.jpg")
}

/// Writes the export into a folder.
fn put(world: &World, number: usize, export: &Export) -> PathBuf {
    let folder = world.root.path().join(format!("e{number}"));
    let chat = if export.form == Form::AccountPages { "chats/chat_1/" } else { "" };
    match export.form {
        Form::Page => write(&folder, "messages.html", page_of(&export.messages, "", "").as_bytes()),
        Form::Pages => {
            let empty: [&[Message]; 1] = [&[]];
            let pages: Vec<&[Message]> = export.messages.chunks(2).chain(empty).take(export.messages.len().div_ceil(2).max(1)).collect();
            for (page, number) in pages.into_iter().zip(1..) {
                let name = if number == 1 { "messages.html".to_owned() } else { format!("messages{number}.html") };
                write(&folder, &name, page_of(page, "", "").as_bytes());
            }
        }
        Form::AccountPages => {
            write(&folder, "export_results.html", b"<html><body></body></html>");
            let entry = "<a class=\"entry block_link\" href=\"../chats/chat_1/messages.html#allow_back\"><div class=\"body\"><div class=\"info\">private</div><div class=\"name\">Bob</div></div></a>";
            write(&folder, "lists/chats.html", format!("<html><body>{entry}</body></html>").as_bytes());
            write(&folder, "chats/chat_1/messages.html", page_of(&export.messages, "../../", chat).as_bytes());
        }
        _ => write(&folder, "result.json", json_of(export).as_bytes()),
    }
    for message in export.messages.iter().filter(|message| message.photo && export.form != Form::WithoutFiles) {
        write(&folder, &format!("{chat}photos/{}.jpg", message.id), &photo(message.id));
    }
    folder
}

/// What a live backup of this state leaves.
fn live(export: &Export, run: &str) -> Scripted {
    let mut files = vec![(
        "chats/user200/chat.json".to_owned(),
        format!(r#"{{"v":1,"peer":"user200","name":"Bob","type":"personal_chat","observed":{},"run":"{run}"}}"#, export.made),
    )];
    let mut lines = String::new();
    for message in &export.messages {
        let edited = message.edited.map(|edited| format!(",\"edited\":{edited}")).unwrap_or_default();
        let media = format!(
            r#","media":[{{"role":"photo","path":"{}","size":{},"status":"stored"}}]"#,
            live_photo(message.id),
            photo(message.id).len()
        );
        let media = if message.photo { media } else { String::new() };
        lines.push_str(&format!(
            "{{\"v\":1,\"record\":\"message\",\"peer\":\"user200\",\"id\":{},\"observed\":{},\"run\":\"{run}\",\"date\":{}{edited},\"message\":{}{media}}}\n",
            message.id,
            export.made,
            message.sent,
            json_of_message(Form::Live, message)
        ));
        if message.photo {
            files.push((live_photo(message.id), String::from_utf8(photo(message.id)).unwrap()));
        }
    }
    if !lines.is_empty() {
        files.push((format!("chats/user200/{run}-000001.jsonl"), lines));
    }
    Scripted(files)
}

/// A source that somebody interrupts after so many of its items.
struct Interrupted(Box<dyn Source>, u64, Stop);

/// Its sink: what is to come before the interruption.
struct Counting<'a>(&'a mut dyn Sink, u64, &'a Stop);

impl Sink for Counting<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        self.1 = self.1.saturating_sub(1);
        if self.1 == 0 {
            self.2.now();
        }
        self.0.item(item)
    }

    fn problem(&mut self, problem: Problem) {
        self.0.problem(problem);
    }

    fn note(&mut self, text: &str) {
        self.0.note(text);
    }

    fn before(&self, path: &EntryPath) -> Option<Before> {
        self.0.before(path)
    }

    fn files_before(&self, folder: &EntryPath) -> Vec<EntryPath> {
        self.0.files_before(folder)
    }

    fn read_before(&self, path: &EntryPath) -> std::io::Result<Option<Vec<u8>>> {
        self.0.read_before(path)
    }

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

impl Source for Interrupted {
    fn name(&self) -> SourceName {
        self.0.name()
    }

    fn lists_everything(&self) -> bool {
        self.0.lists_everything()
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        self.0.list(&mut Counting(sink, self.1, &self.2))
    }

    fn continues(&self, memory: &str, anew: bool) {
        self.0.continues(memory, anew);
    }

    fn wants_key(&self) -> bool {
        self.0.wants_key()
    }

    fn committed(&self, marks: &[u64]) {
        self.0.committed(marks);
    }
}

/// What is shown of a message: its text, its hearts, and the file.
type Shown = (String, u64, Option<Vec<u8>>);

/// What is shown of a chat after these, which are in the order in which they were made.
fn expected<'a>(exports: impl Iterator<Item = &'a Export> + Clone) -> BTreeMap<i64, Shown> {
    let mut shown = BTreeMap::new();
    for export in exports.clone() {
        let is_page = matches!(export.form, Form::Page | Form::Pages | Form::AccountPages);
        for message in &export.messages {
            let has_file =
                |export: &&Export| export.form != Form::WithoutFiles && export.messages.iter().any(|other| other.id == message.id);
            let file = (message.photo && exports.clone().any(|export| has_file(&export))).then(|| photo(message.id));
            // A page that shows no reactions may be older than they are.
            let known = shown.get(&message.id).map_or(0, |(_, hearts, _): &Shown| *hearts);
            let hearts = if is_page && message.hearts == 0 { known } else { message.hearts };
            shown.insert(message.id, (message.text.clone(), hearts, file));
        }
    }
    shown
}

/// The chat that is known by its id, and the one that is known by its name alone.
type Chats = [BTreeMap<i64, Shown>; 2];

async fn shown(world: &World, at: Option<i64>) -> Chats {
    let to = world.root.path().join(at.map_or_else(|| "out".to_owned(), |at| format!("at{at}")));
    let options = RenderOptions {
        to: to.clone(),
        form: Written::TelegramDesktop { json: true, html: false },
        chats: Vec::new(),
        span: Span { at, ..Span::default() },
        media: Vec::new(),
        zone: jiff::tz::TimeZone::UTC,
        files: Default::default(),
        overwrite: Overwrite::Always,
        dry_run: false,
        lanes: 1,
    };
    let session = world.session(&world.storage, Some(world.unlock()));
    render(&session, &SnapshotChoice::latest(), options, Arc::new(Log::default()), Stop::new()).await.unwrap();
    let told: Value = serde_json::from_slice(&std::fs::read(to.join("result.json")).unwrap()).unwrap();
    let chats = told["chats"]["list"].as_array().cloned().unwrap_or_else(|| vec![told.clone()]);
    let mut all = Chats::default();
    for chat in chats {
        let messages = chat["messages"].as_array().unwrap();
        let shown = &mut all[usize::from(chat["id"] != 200)];
        for message in messages {
            assert_eq!(message["from_id"].as_str().unwrap_or("user200"), "user200");
            let file = message["photo"].as_str().and_then(|path| std::fs::read(to.join(path)).ok());
            let hearts = message["reactions"][0]["count"].as_u64().unwrap_or_default();
            shown.insert(message["id"].as_i64().unwrap(), (message["text"].as_str().unwrap().to_owned(), hearts, file));
        }
        assert_eq!(shown.len(), messages.len(), "each message once");
    }
    all
}

/// A machine with a memory of its own, and with the key.
struct Machine {
    session: Session,
    known: Arc<Remembered>,
}

fn machine(world: &World, number: u8) -> Machine {
    let state = StateFolder::open(world.root.path().join(format!("machine{number}")), None).unwrap();
    let session = match number {
        0 => world.session(&world.storage, Some(world.unlock())),
        _ => Session { unlock: Some(world.unlock()), machine: world.machine.clone(), ..Session::new(world.storage.clone(), state) },
    };
    Machine { session, known: Arc::new(Remembered::new([number; 32])) }
}

/// Takes an export in; an interrupted run is run again.
async fn take(world: &World, machine: &Machine, number: usize, export: &Export, run: &str, stop_after: Option<u64>) {
    let folder = put(world, number, export);
    let source = || -> Box<dyn Source> {
        if export.form == Form::Live {
            return Box::new(live(export, run));
        }
        let options = ImportOptions { zone: jiff::tz::TimeZone::UTC, run: run.parse().unwrap(), made: Some(export.made) };
        let source = DesktopExport::open(&folder, options, Arc::clone(&machine.known)).unwrap();
        Box::new(if export.form == Form::AccountPages { source } else { source.of_chat(Some(Peer::user(200))) })
    };
    if let Some(after) = stop_after {
        let stop = Stop::new();
        let vault = tgvault::Vault::from(machine.session.clone());
        let source = Arc::new(Interrupted(source(), after, stop.clone()));
        match vault.backup(source).with(|options| options.lanes = 1).events(Arc::new(Log::default())).stop(stop).await {
            Ok(_) | Err(OperationError::Interrupted) => {}
            Err(error) => panic!("{run}: {error}"),
        }
    }
    let (summary, said) = world.backup_in(&machine.session, Arc::new(Interrupted(source(), u64::MAX, Stop::new()))).await.unwrap();
    assert!(summary.snapshot.is_some(), "{run}: {said:?}");
}

/// Makes up a sequence, takes it in in any order, on several machines, some of it twice, some of it in two attempts, and compares.
async fn try_seed(seed: u64) {
    let mut random = Random(seed);
    let (exports, past) = exports(&mut random);
    let world = World::in_memory().await;
    let mut order: Vec<usize> = (0..exports.len()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    if random.one_in(3) {
        order.push(random.below(exports.len() as u64) as usize);
    }
    let machines = [0, 1, 2].map(|number| machine(&world, number));
    for (turn, &number) in order.iter().enumerate() {
        let machine = &machines[if random.one_in(3) { 1 + random.below(2) as usize } else { 0 }];
        let stop_after = random.one_in(4).then(|| 1 + random.below(6));
        take(&world, machine, number, &exports[number], &format!("r{seed}-{turn}"), stop_after).await;
    }
    let of_name = |export: &&Export| export.form == Form::AccountPages;
    let wanted = [expected(exports.iter().filter(|export| !of_name(export))), expected(exports.iter().filter(of_name))];
    let story = || format!("seed {seed}, order {order:?}\nexports {exports:#?}");
    let now = shown(&world, None).await;
    assert!(now == wanted, "{}\nshown {now:#?}\nexpected {wanted:#?}", story());

    // As of the time of one of them: what it and those before it say, or what the message is known to have said then.
    let at = exports[random.below(exports.len() as u64) as usize].made;
    let then = shown(&world, Some(at)).await;
    for (shown, by_name) in then.iter().zip([false, true]) {
        let known = expected(exports.iter().filter(|export| export.made <= at && of_name(export) == by_name));
        for (id, (text, ..)) in &known {
            let (is, ..) = shown.get(id).unwrap_or_else(|| panic!("{}\nat {at} message {id} is not shown: {shown:#?}", story()));
            let truth = past[id].iter().rfind(|(from, _)| *from <= at).map(|(_, text)| text);
            assert!(is == text || Some(is) == truth, "{}\nat {at} message {id} is shown as {is:?}, known as {text:?}", story());
        }
        assert!(shown.keys().all(|id| past[id][0].0 <= at), "{}\nat {at} messages are shown that were not sent yet: {shown:#?}", story());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_sequences_of_imports_are_shown_as_the_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("TGVAULT_FIRST_SEED").unwrap_or(0);
    for seed in first..first + number("TGVAULT_SEEDS").unwrap_or(300) {
        try_seed(seed).await;
    }
}
