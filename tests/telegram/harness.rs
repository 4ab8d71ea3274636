//! A logged-in account at a server of the test's own, and a sink that keeps everything.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use tgvault::model::coverage::Coverage;
use tgvault::model::entry::EntryPath;
use tgvault::model::paths::{Place, place};
use tgvault::model::peer::Peer;
use tgvault::model::record::Record;
use tgvault::source::telegram::{
    Account, Accounts, Application, ConnectOptions, CustomServer, Device, Event, ExportOptions, LoginPrompts, LoginWay, Observer, Pace,
    TakeoutUse, TelegramError, TelegramSource, TimeLimits,
};
use tgvault::source::{Item, Problem, Sink, Source, SourceError, Stopped};
use tgvault::state::StateFolder;
use tgvault_test_support::telegram::{self as server, Options, TelegramServer};

/// Answers from a list.
pub struct Answers {
    pub phone: String,
    pub codes: Vec<String>,
    pub passwords: Vec<String>,
    pub shown: Vec<String>,
    pub said: Vec<String>,
    /// What happens when a QR code is shown.
    pub on_qr: Box<dyn FnMut(&str) + Send>,
}

impl Answers {
    pub fn new(options: &Options) -> Self {
        Self {
            phone: options.phone.clone(),
            codes: vec![options.code.clone()],
            passwords: options.password.iter().cloned().collect(),
            shown: vec![],
            said: vec![],
            on_qr: Box::new(|_| {}),
        }
    }
}

impl LoginPrompts for Answers {
    fn phone(&mut self) -> io::Result<String> {
        Ok(self.phone.clone())
    }

    fn code(&mut self, _how: &str) -> io::Result<SecretString> {
        if self.codes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(self.codes.remove(0).into()) }
    }

    fn password(&mut self, _hint: Option<&str>) -> io::Result<SecretString> {
        if self.passwords.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(self.passwords.remove(0).into()) }
    }

    fn show_qr(&mut self, link: &str) -> io::Result<()> {
        self.shown.push(link.to_owned());
        (self.on_qr)(link);
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }
}

/// Keeps all events.
#[derive(Default)]
pub struct Events(Mutex<Vec<Event>>);

impl Observer for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn notes(&self) -> Vec<String> {
        self.all()
            .into_iter()
            .filter_map(|event| match event {
                Event::Note(note) => Some(note),
                _ => None,
            })
            .collect()
    }
}

/// A server, and a folder for accounts at it.
pub struct Setup {
    pub server: TelegramServer,
    pub folder: TempDir,
    pub pace: Pace,
    pub limits: TimeLimits,
    pub max_wait: Duration,
    pub events: Arc<Events>,
}

pub const API_ID: i32 = 12345;

impl Setup {
    pub fn new(options: Options) -> Self {
        let seconds = Duration::from_secs;
        Self {
            server: TelegramServer::start(options).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            pace: Pace::Fast,
            // Short, so that tests of silence end soon.
            limits: TimeLimits {
                connect: seconds(2),
                exchange: seconds(10),
                answer: seconds(3),
                silence: seconds(30),
                pause: Duration::from_millis(20),
            },
            max_wait: seconds(60),
            events: Arc::default(),
        }
    }

    pub fn accounts(&self) -> Accounts {
        let state = StateFolder::open(self.folder.path().join("state"), None).unwrap();
        Accounts::new(Arc::new(state.kept("accounts", None)))
    }

    pub fn accounts_folder(&self) -> PathBuf {
        self.folder.path().join("state/accounts")
    }

    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            api_id: API_ID,
            server: Some(self.custom_server()),
            proxy: None,
            device: Device::default(),
            pace: self.pace,
            limits: self.limits,
            max_wait: self.max_wait,
            observer: self.events.clone(),
        }
    }

    pub fn custom_server(&self) -> CustomServer {
        CustomServer { address: self.server.address(), dc: self.server.home_dc(), key_pem: self.server.key().public_pem() }
    }

    pub fn log_in_with(&self, name: &str, way: LoginWay, answers: &mut Answers) -> Result<Account, TelegramError> {
        let application = Application { api_id: API_ID, api_hash: "0123456789abcdef".into() };
        self.accounts().login(name, way, &application, &self.connect_options(), answers)
    }

    /// Logs in once; later calls use the session that is there.
    pub fn account(&self) -> Account {
        match self.accounts().open("main", &self.connect_options()) {
            Ok(account) => account,
            Err(_) => self.log_in_with("main", LoginWay::Phone(None), &mut Answers::new(self.server.options())).unwrap(),
        }
    }

    pub fn source(&self, options: ExportOptions) -> TelegramSource {
        TelegramSource::new(self.account(), options, "vault").unwrap()
    }

    /// One run whose items are all stored for good.
    pub fn run(&self, vault: &mut Vault, options: ExportOptions) -> TelegramSource {
        let source = self.source(options);
        vault.take(&source).unwrap();
        source
    }
}

/// Without reading old messages again, which most tests do not want to see.
pub fn plain() -> ExportOptions {
    ExportOptions { recheck_budget: 0, takeout: TakeoutUse::Never, ..ExportOptions::default() }
}

/// Keeps what sources hand over: later over earlier, as a restored backup has it.
#[derive(Default)]
pub struct Vault {
    pub files: BTreeMap<EntryPath, Vec<u8>>,
    /// Paths in the order of their coming, of the last run only.
    pub last_run: Vec<EntryPath>,
    pub problems: Vec<Problem>,
    /// Entries whose content could not be read, with the error.
    pub broken: Vec<(EntryPath, String)>,
    /// Stops the run after so many items; 0 for never.
    pub stop_after: usize,
    /// Waits so long before it reads a file of more than a megabyte, like a busy store.
    pub hesitates: Duration,
    /// Commits what came before the stop.
    pub marks: Vec<u64>,
}

struct Collecting<'a>(&'a mut Vault, usize);

impl Sink for Collecting<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        self.1 += 1;
        if self.0.stop_after > 0 && self.1 > self.0.stop_after {
            return Err(Stopped);
        }
        if item.size > 1_000_000 {
            std::thread::sleep(self.0.hesitates);
        }
        let mut content = Vec::new();
        let read = item.content.as_ref().unwrap().open(0).and_then(|mut body| body.read_to_end(&mut content));
        match read {
            Ok(_) if content.len() as u64 == item.size => {
                self.0.files.insert(item.path.clone(), content);
            }
            Ok(_) => self.0.broken.push((item.path.clone(), format!("{} bytes instead of {}", content.len(), item.size))),
            Err(error) => self.0.broken.push((item.path.clone(), error.to_string())),
        }
        self.0.last_run.push(item.path);
        self.0.marks.push(item.mark);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.0.problems.push(problem);
    }
}

impl Vault {
    /// Runs a source, and commits what came.
    pub fn take(&mut self, source: &TelegramSource) -> Result<(), SourceError> {
        self.last_run.clear();
        self.marks.clear();
        let result = source.list(&mut Collecting(self, 0));
        source.committed(&self.marks);
        assert!(source.state_error().is_none());
        result
    }

    /// The records of a chat in the order of the log's paths.
    pub fn records(&self, peer: Peer) -> Vec<Record> {
        self.files
            .iter()
            .filter(|(path, _)| matches!(place(path), Some(Place::Log { peer: own, .. }) if own == peer))
            .flat_map(|(_, content)| content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()))
            .map(|line| Record::from_line(line).unwrap())
            .collect()
    }

    /// The chat's messages as the records add up: id, then the record that counts.
    pub fn messages(&self, peer: Peer) -> BTreeMap<i64, tgvault::model::record::MessageRecord> {
        let mut found: BTreeMap<i64, tgvault::model::record::MessageRecord> = BTreeMap::new();
        for record in self.records(peer) {
            match record {
                Record::Message(message) => {
                    let newer = found
                        .get(&message.id)
                        .is_none_or(|known| (known.edited, known.observed, &known.run) <= (message.edited, message.observed, &message.run));
                    if newer {
                        found.insert(message.id, message);
                    }
                }
                Record::Deletion(deletion) => {
                    found.remove(&deletion.id);
                }
                Record::Event(_) => {}
            }
        }
        found
    }

    pub fn coverage(&self, peer: Peer) -> Coverage {
        let path = tgvault::model::paths::coverage(peer).unwrap();
        serde_json::from_slice(self.files.get(&path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
    }

    pub fn media(&self) -> impl Iterator<Item = (&EntryPath, &Vec<u8>)> {
        self.files.iter().filter(|(path, _)| matches!(place(path), Some(Place::Media)))
    }
}

/// The model's name of a server's peer.
pub fn peer(peer: server::Peer) -> Peer {
    match peer {
        server::Peer::User(id) => Peer::user(id),
        server::Peer::Group(id) => Peer::chat(id),
        server::Peer::Channel(id) => Peer::channel(id),
    }
}
