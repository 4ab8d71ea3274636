//! The two threads that write: `result.json`, and pages. Both take the same steps in the same order.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Receiver;
use jiff::tz::TimeZone;

use super::FileChoice;
use crate::model::account::{AccountSection, Section};
use crate::model::chat::ChatInfo;
use crate::model::chat_part::ChatPart;
use crate::model::entry::{EntryPath, Metadata, Timestamp};
use crate::model::harmless::printable;
use crate::model::json;
use crate::operations::OperationError;
use crate::operations::chats::conversation::Message;
use crate::operations::events::Event;
use crate::operations::report::Report;
use crate::render::desktop_json::{ChatHead, DesktopJson, Options};
use crate::render::html::about::about_page;
use crate::render::html::lists::{ListedChat, chat_list, owner, section_page, shown_name, summary};
use crate::render::html::{ChatPages, Owner, Pages, Written, assets};
use crate::render::media_names::Places;
use crate::target::{FileWriter, TargetError, TargetFolder};

/// What is to be written next. Cheap to clone: both threads get it.
#[derive(Clone)]
pub(super) enum Step {
    /// A section of the account; all of them come before the chats.
    Section(Arc<AccountSection>, Arc<Places>),
    /// A chat begins.
    Chat(Arc<BegunChat>),
    /// Messages of that chat.
    Messages(Arc<Vec<Message>>, Arc<Places>),
    /// The chat ends: what it has beside messages, and where the files of that lie.
    EndChat(Arc<Vec<ChatPart>>, Arc<Places>),
    /// Everything has come. Without this nothing is complete, and `result.json` gets no name.
    End,
}

/// The beginning of a chat.
pub(super) struct BegunChat {
    /// Its description.
    pub info: ChatInfo,
    /// Its folder, `chats/chat_01/`, or empty in the export of a single chat.
    pub folder: String,
    /// Whether it has something beside messages.
    pub has_parts: bool,
}

/// Where files go.
pub(super) struct Out<'a> {
    /// The folder; without one, files are only counted and told.
    pub target: Option<&'a TargetFolder>,
    pub report: &'a Report,
    /// Which files are written.
    pub files: &'a FileChoice,
    /// Which of its paths fit a file.
    pub fitting: Mutex<HashSet<EntryPath>>,
    /// The time that written files get: that of the snapshot.
    pub time: Timestamp,
    /// Bytes that were written.
    pub written: AtomicU64,
}

impl Out<'_> {
    fn meta(&self) -> Metadata {
        Metadata { mode: 0o600, mtime: self.time, ..Metadata::default() }
    }

    /// Whether the file that gets this path is written.
    pub fn takes(&self, path: &EntryPath) -> bool {
        let takes = self.files.takes(path);
        if takes && !self.files.paths.is_empty() {
            let fitting = self.files.paths.iter().filter(|top| path.is_at_or_below(top)).cloned();
            self.fitting.lock().unwrap_or_else(PoisonError::into_inner).extend(fitting);
        }
        takes
    }

    /// Reports the paths and patterns that fit no file.
    pub fn tell_unmatched(&self) {
        let fitting = self.fitting.lock().unwrap_or_else(PoisonError::into_inner);
        for path in self.files.paths.iter().filter(|path| !fitting.contains(path)) {
            self.report.problem(path, "there is no such file among those that the chats are restored as");
        }
        for pattern in self.files.filter.unmatched() {
            self.report.events.event(&Event::Note(&format!("nothing matches the pattern '{}'", printable(pattern))));
        }
    }

    /// Begins a file; `None` for one that is not wanted, and for one that is there and is kept.
    fn begin(&self, path: &EntryPath) -> Result<Option<Writer>, TargetError> {
        if !self.takes(path) {
            return Ok(None);
        }
        self.report.total_entries.fetch_add(1, Ordering::Relaxed);
        let Some(target) = self.target else { return Ok(Some(Writer::Counted { path: path.clone(), bytes: 0 })) };
        match target.open_ended(path, &self.meta()) {
            Ok(writer) => Ok(Some(Writer::File(writer))),
            Err(TargetError::Exists { .. }) => {
                self.report.kept.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn commit(&self, writer: Writer) -> Result<(), TargetError> {
        let bytes = match writer {
            Writer::File(writer) => {
                let bytes = writer.written();
                writer.commit()?;
                bytes
            }
            Writer::Counted { path, bytes } => {
                self.report.events.event(&Event::Planned { path: &path, bytes });
                bytes
            }
        };
        self.written.fetch_add(bytes, Ordering::Relaxed);
        self.report.restored(0);
        Ok(())
    }

    fn file(&self, path: &str, bytes: &[u8]) -> Result<(), OperationError> {
        let path = EntryPath::new(path).map_err(|error| OperationError::Internal(error.to_string()))?;
        let written = self.begin(&path).and_then(|writer| {
            let Some(mut writer) = writer else { return Ok(()) };
            writer.write_all(bytes).map_err(|error| TargetError::from_write(&path, error))?;
            self.commit(writer)
        });
        // One page that has no place does not end the run.
        written.or_else(|error| self.report.refused(&path, error))
    }
}

impl Pages for &Out<'_> {
    type Error = OperationError;

    fn page(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), OperationError> {
        self.file(path, &bytes)
    }
}

/// A file on its way, or what it would be.
enum Writer {
    File(FileWriter),
    Counted { path: EntryPath, bytes: u64 },
}

impl Write for Writer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(writer) => writer.write(buffer),
            Self::Counted { bytes, .. } => {
                *bytes += buffer.len() as u64;
                Ok(buffer.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(writer) => writer.flush(),
            Self::Counted { .. } => Ok(()),
        }
    }
}

/// Writes `result.json`. `alone` says that no pages are written: what both forms have beside it is written here then.
pub(super) fn json(steps: &Receiver<Step>, out: &Out<'_>, single: bool, alone: bool, zone: &TimeZone) -> Result<(), OperationError> {
    let path = EntryPath::new("result.json").map_err(|error| OperationError::Internal(error.to_string()))?;
    let begun = match out.begin(&path) {
        Ok(begun) => begun,
        Err(error) => {
            out.report.refused(&path, error)?;
            None
        }
    };
    let Some(writer) = begun else {
        steps.iter().for_each(drop);
        return Ok(());
    };
    match json_into(writer, &path, steps, single, alone.then_some(out), zone)? {
        Some(writer) => out.commit(writer).or_else(|error| out.report.refused(&path, error)),
        None => Ok(()),
    }
}

/// Gives the writer back when everything came.
fn json_into(
    writer: Writer,
    path: &EntryPath,
    steps: &Receiver<Step>,
    single: bool,
    beside: Option<&Out<'_>>,
    zone: &TimeZone,
) -> Result<Option<Writer>, OperationError> {
    let unwritten = |error| OperationError::from(TargetError::from_write(path, error));
    let options = Options::new(zone.clone());
    let mut json = if single {
        // Nothing comes before the chat.
        let Ok(Step::Chat(chat)) = steps.recv() else { return Ok(None) };
        DesktopJson::single_chat(writer, ChatHead::of(&chat.info), options)
    } else {
        DesktopJson::account(writer, options)
    };
    for step in steps {
        match step {
            Step::Section(section, places) => {
                if let Some(mut out) = beside.filter(|_| section.section == Section::OtherData) {
                    section_page(&section, zone, &places, &mut out)?;
                }
                json.section(&section, &places).map_err(unwritten)?;
            }
            Step::Chat(chat) => json.begin_chat(ChatHead::of(&chat.info)).map_err(unwritten)?,
            Step::Messages(messages, places) => {
                for message in &*messages {
                    json.message(message.shown(), &places).map_err(unwritten)?;
                }
            }
            Step::EndChat(parts, places) => json.parts(&parts, &places),
            Step::End => return json.finish().map(Some).map_err(unwritten),
        }
    }
    Ok(None)
}

/// Writes the pages.
pub(super) fn html(steps: &Receiver<Step>, mut out: &Out<'_>, single: bool, zone: &TimeZone) -> Result<(), OperationError> {
    assets(&mut out)?;
    let mut sections = Vec::new();
    let mut personal = None;
    let mut owned_by = Owner::default();
    let mut picture = None;
    let mut listed = Vec::new();
    for step in steps {
        match step {
            Step::Section(section, places) => {
                sections.extend(section_page(&section, zone, &places, &mut out)?);
                match section.section {
                    Section::PersonalInformation => {
                        owned_by = owner(&section);
                        personal = Some(section);
                    }
                    Section::ProfilePictures => picture = first_picture(&section, &places),
                    _ => {}
                }
            }
            Step::Chat(chat) => match chat_pages(steps, &chat, owned_by.clone(), out, zone)? {
                Some(written) => {
                    let (info, folder) = (chat.info.clone(), chat.folder.clone());
                    listed.push(ListedChat { name: shown_name(&info), chat: info, written, folder });
                }
                None => return Ok(()),
            },
            Step::Messages(..) | Step::EndChat(..) => {}
            Step::End if single => return Ok(()),
            Step::End => {
                chat_list(&listed, &mut out)?;
                return summary(personal.as_deref(), picture.as_deref(), listed.len(), &sections, &mut out);
            }
        }
    }
    Ok(())
}

fn first_picture(section: &AccountSection, places: &Places) -> Option<String> {
    let stored = json::elements(section.value.get()).find_map(|picture| json::text(json::get(picture, "photo")?))?;
    places.placed(&stored).map(str::to_owned)
}

/// Writes one chat; `None` when it did not come to its end.
fn chat_pages(
    steps: &Receiver<Step>,
    chat: &BegunChat,
    owner: Owner,
    mut out: &Out<'_>,
    zone: &TimeZone,
) -> Result<Option<Written>, OperationError> {
    let name = shown_name(&chat.info);
    let pages = ChatPages::new(&name, &chat.folder, zone.clone(), &mut out);
    let mut pages = pages.of_kind(chat.info.kind).owned_by(owner);
    if chat.has_parts {
        pages = pages.with_about();
    }
    for step in steps {
        match step {
            Step::Messages(messages, places) => {
                for message in &*messages {
                    pages.message(message.shown(), &places)?;
                }
            }
            Step::EndChat(parts, places) => {
                let messages = pages.finish()?;
                if !parts.is_empty() {
                    about_page(&name, &chat.folder, &parts, zone, &places, &mut out)?;
                }
                return Ok(Some(messages));
            }
            Step::Section(..) | Step::Chat(_) | Step::End => break,
        }
    }
    Ok(None)
}
