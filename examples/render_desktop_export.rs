//! Reads a Telegram Desktop export and writes it again as `result.json` and HTML pages of tgvault's.
//!
//! ```text
//! cargo run --example render_desktop_export -- tests/data/sample-export target/pages
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use tgvault::model::account::{AccountSection, Section};
use tgvault::model::chat::ChatInfo;
use tgvault::model::entry::EntryPath;
use tgvault::model::json;
use tgvault::model::media::{Media, MediaKind, media_path};
use tgvault::model::record::MessageRecord;
use tgvault::render::desktop_json::{ChatHead, DesktopJson, Options};
use tgvault::render::html::lists::{ListedChat, chat_list, section_page, shown_name, summary};
use tgvault::render::html::{ChatPages, Pages, assets};
use tgvault::render::media_names::{MediaNamer, chat_folder};
use tgvault::render::shown::Shown;
use tgvault::source::desktop::convert::Files;
use tgvault::source::desktop::read::{Circumstances, Receiver, read_json};

/// The files of an export. A backup names them by content; numbers in order of appearance do here.
struct Folder {
    root: PathBuf,
    found: HashMap<EntryPath, PathBuf>,
    numbers: HashMap<String, usize>,
}

impl Files for Folder {
    fn find(&mut self, path: &str) -> Option<(EntryPath, u64)> {
        // An entry's path cannot lead out of the folder.
        let inside = EntryPath::new(path).ok()?.to_string();
        let file = self.root.join(&inside);
        let size = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file)?.len();
        let next = self.numbers.len();
        let number = *self.numbers.entry(inside).or_insert(next);
        let stored = media_path(MediaKind::Document, &number.to_string(), "full", "").ok()?;
        self.found.insert(stored.clone(), file);
        Some((stored, size))
    }
}

#[derive(Default)]
struct Account {
    chats: Vec<(ChatInfo, Vec<MessageRecord>)>,
    sections: Vec<AccountSection>,
}

impl Receiver for Account {
    fn bytes(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        if let Some((_, messages)) = self.chats.last_mut() {
            messages.push(record);
        }
        Ok(())
    }

    fn chat(&mut self, chat: ChatInfo) -> io::Result<()> {
        match self.chats.last_mut() {
            Some((last, _)) if last.peer == chat.peer => *last = chat,
            _ => self.chats.push((chat, Vec::new())),
        }
        Ok(())
    }

    fn section(&mut self, section: AccountSection) -> io::Result<()> {
        self.sections.push(section);
        Ok(())
    }

    fn problem(&mut self, offset: u64, what: &str) {
        tracing::warn!(offset, what, "not understood");
    }
}

/// Writes into a folder.
struct Target(PathBuf);

impl Target {
    fn path(&self, path: &str) -> io::Result<PathBuf> {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        Ok(path)
    }
}

impl Pages for Target {
    type Error = io::Error;

    fn page(&mut self, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        fs::write(self.path(path)?, bytes)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: render_desktop_export EXPORT-FOLDER TARGET-FOLDER".into());
    };
    let zone = TimeZone::system();
    let input = File::open(from.join("result.json"))?;
    let circumstances = Circumstances { zone: zone.clone(), observed: 0, run: "example".parse()? };
    let mut files = Folder { root: from, found: HashMap::new(), numbers: HashMap::new() };
    let mut account = Account::default();
    read_json(input, circumstances, &mut files, &mut account)?;

    let mut target = Target(to);
    let mut names = MediaNamer::new(zone.clone());
    let mut placed: Vec<(PathBuf, String)> = Vec::new();
    let mut place = |_: &Media, stored: &EntryPath, place: &str| {
        placed.extend(files.found.get(stored).map(|file| (file.clone(), place.to_owned())));
        Ok(())
    };
    let mut out = DesktopJson::account(BufWriter::new(File::create(target.path("result.json")?)?), Options::new(zone.clone()));
    assets(&mut target)?;
    let mut sections = Vec::new();
    for section in &account.sections {
        names.section(section, &mut place);
        out.section(section, names.places())?;
        sections.extend(section_page(section, &zone, names.places(), &mut target)?);
    }
    let mut listed = Vec::new();
    for (index, (chat, messages)) in account.chats.iter().enumerate() {
        let folder = chat_folder(index + 1, account.chats.len());
        names.begin_chat(&folder);
        out.begin_chat(ChatHead::of(chat))?;
        let name = shown_name(chat);
        let mut pages = ChatPages::new(&name, &folder, zone.clone(), &mut target);
        for record in messages {
            names.message(record, &mut place);
            out.message(Shown::plain(record), names.places())?;
            pages.message(Shown::plain(record), names.places())?;
        }
        let written = pages.finish()?;
        listed.push(ListedChat { name, chat: chat.clone(), written, folder });
    }
    out.finish()?;
    chat_list(&listed, &mut target)?;
    let of = |kind: Section| account.sections.iter().find(|section| section.section == kind);
    let picture = of(Section::ProfilePictures)
        .and_then(|section| json::elements(section.value.get()).find_map(|p| json::text(json::get(p, "photo")?)))
        .and_then(|stored| names.places().placed(&stored).map(str::to_owned));
    summary(of(Section::PersonalInformation), picture.as_deref(), listed.len(), &sections, &mut target)?;
    for (file, place) in placed {
        fs::copy(file, target.path(&place)?)?;
    }
    Ok(())
}
