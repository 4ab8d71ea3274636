//! The files of chats in folders by chat and month, under the names that they were sent with.
//!
//! A chat's folder is laid out when somebody looks into it, from the lines of its log that tell of files, and is remembered.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::node::Node;
use super::volume::Volume;
use super::{Attributes, Child, Form, Refusal, Tell};
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind, Timestamp};
use crate::model::kinds::FileKind;
use crate::model::media::{Media, MediaRole};
use crate::model::time;
use crate::operations::chats::{Chat, Chosen, choose};
use crate::operations::messages::{lines, pass};
use crate::operations::stop::Stop;
use crate::operations::{OperationError, default_lanes};
use crate::render::html::lists::shown_name;
use crate::render::media_names::sanitise;

/// The folder of files whose message has no date.
const UNDATED: &str = "undated";

/// A folder or file.
struct Part {
    name: Box<str>,
    what: What,
    /// When it was sent; of a folder, when its last file was. Unix seconds, where that is known.
    time: Option<i64>,
}

enum What {
    /// A folder and what is in it, sorted by name; `None` for a chat that nobody has looked into.
    Folder(Option<Vec<u32>>, Option<Box<Chosen>>),
    /// The entry of the snapshot's tree.
    File(u32),
}

/// The folders of all chats of a snapshot. The first part is the folder of them all.
#[derive(Default)]
pub(super) struct ChatFolders {
    parts: Mutex<Vec<Part>>,
}

impl ChatFolders {
    /// Finds out which chats there are, once.
    pub fn list(&self, volume: &Volume, tell: &Tell) -> Result<(), OperationError> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if !parts.is_empty() {
            return Ok(());
        }
        let bad = &mut |path: &EntryPath, error: &OperationError| tell(&format!("'{path}': {}", with_causes(error)), error.is_damage());
        let chosen = choose(volume.chats(), volume.chats().chats(bad)?, &[])?;
        let mut names = Names::default();
        let mut found = vec![Part { name: "".into(), what: What::Folder(None, None), time: None }];
        for chosen in chosen {
            let name = sanitise(&shown_name(&chosen.chat.info));
            // The peer tells chats of one name apart, whatever else there is later.
            let name = if names.is_free(&name) { name } else { format!("{name} ({})", chosen.chat.peer) };
            names.take(&name);
            found.push(Part { name: name.into(), what: What::Folder(None, Some(Box::new(chosen))), time: None });
        }
        let all = 1..u32::try_from(found.len()).unwrap_or(u32::MAX);
        let all = sorted(&found, all.collect());
        if let Some(first) = found.first_mut() {
            first.what = What::Folder(Some(all), None);
        }
        *parts = found;
        Ok(())
    }

    /// What is in a folder, laid out where nobody did so before.
    fn folder<'a>(parts: &'a mut Vec<Part>, volume: &Volume, part: u32, tell: &Tell) -> Result<Result<&'a [u32], Refusal>, OperationError> {
        let chosen = match parts.get_mut(part as usize).map(|part| &mut part.what) {
            None => return Ok(Err(Refusal::Missing)),
            Some(What::File(_)) => return Ok(Err(Refusal::NotAFolder)),
            Some(What::Folder(None, chosen)) => chosen.take(),
            Some(What::Folder(Some(_), _)) => None,
        };
        if let Some(chosen) = chosen
            && let Err(error) = lay_out(parts, volume, part, &chosen, tell)
        {
            // The next one who looks tries again.
            if let Some(Part { what: What::Folder(_, of), .. }) = parts.get_mut(part as usize) {
                *of = Some(chosen);
            }
            return Err(error);
        }
        Ok(match parts.get(part as usize).map(|part| &part.what) {
            Some(What::Folder(Some(children), _)) => Ok(children),
            _ => Err(Refusal::Missing),
        })
    }

    pub fn attributes(&self, volume: &Volume, of: u16, part: u32) -> Result<Attributes, Refusal> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let Part { what, time, .. } = parts.get(part as usize).ok_or(Refusal::Missing)?;
        let (number, time) = (Node::OfChat(of, part).number(), time.map(|seconds| Timestamp { seconds, nanos: 0 }));
        match what {
            What::Folder(..) => Ok(Attributes::folder(number, 0o755, time.unwrap_or(volume.time()))),
            What::File(entry) => {
                let (_, entry) = volume.file(*entry)?;
                let time = time.unwrap_or(entry.mtime());
                Ok(Attributes { number, form: Form::File, bytes: entry.stored_size(), mode: 0o644, owner: None, time, names: 1 })
            }
        }
    }

    pub fn find(&self, volume: &Volume, folder: u32, name: &[u8], tell: &Tell) -> Result<Result<u32, Refusal>, OperationError> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let children = match Self::folder(&mut parts, volume, folder, tell)? {
            Ok(children) => children.to_vec(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let named = |child: &u32| parts.get(*child as usize).map_or(&b""[..], |part| part.name.as_bytes());
        let at = children.binary_search_by(|child| named(child).cmp(name));
        Ok(at.ok().and_then(|at| children.get(at).copied()).ok_or(Refusal::Missing))
    }

    pub fn children(
        &self,
        volume: &Volume,
        of: u16,
        folder: u32,
        from: u64,
        tell: &Tell,
        each: &mut dyn FnMut(Child<'_>, u64) -> bool,
    ) -> Result<Result<(), Refusal>, OperationError> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let children = match Self::folder(&mut parts, volume, folder, tell)? {
            Ok(children) => children.to_vec(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        for (index, child) in children.iter().enumerate().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            let Some(part) = parts.get(*child as usize) else { continue };
            let form = if matches!(part.what, What::File(_)) { Form::File } else { Form::Folder };
            if !each(Child { name: part.name.as_bytes(), number: Node::OfChat(of, *child).number(), form }, index as u64 + 1) {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// The entry of a file.
    pub fn entry(&self, part: u32) -> Result<u32, Refusal> {
        match self.parts.lock().unwrap_or_else(PoisonError::into_inner).get(part as usize).map(|part| &part.what) {
            Some(What::File(entry)) => Ok(*entry),
            Some(What::Folder(..)) => Err(Refusal::IsAFolder),
            None => Err(Refusal::Missing),
        }
    }
}

fn sorted(parts: &[Part], mut children: Vec<u32>) -> Vec<u32> {
    children.sort_by(|a, b| {
        let name = |part: &u32| parts.get(*part as usize).map(|part| &part.name);
        name(a).cmp(&name(b))
    });
    children
}

/// A file that a message shows.
struct Shown {
    path: EntryPath,
    date: Option<i64>,
    name: String,
}

/// Lays out the folder of a chat.
fn lay_out(parts: &mut Vec<Part>, volume: &Volume, of: u32, chosen: &Chosen, tell: &Tell) -> Result<(), OperationError> {
    let zone = TimeZone::system();
    let wanted: Vec<Chat> = chosen.before.iter().chain([&chosen.chat]).cloned().collect();
    let mut shown = Vec::new();
    pass(
        volume.chats(),
        &wanted,
        default_lanes(),
        &Stop::default(),
        |_, batch| shown_in(batch, &zone),
        &mut |(path, error)| tell(&format!("'{path}': {}", with_causes(&error)), error.is_damage()),
        |_, batches| {
            shown.extend(batches.into_iter().flatten().flatten());
            Ok(())
        },
    )?;
    let mut months: BTreeMap<String, (Names, Vec<Part>)> = BTreeMap::new();
    let mut known = HashSet::new();
    for Shown { path, date, name } in shown {
        // What several messages show is with the first of them.
        let Some((number, entry)) = volume.tree().find(&path) else { continue };
        if entry.kind != Kind::File || !known.insert(number) {
            continue;
        }
        let at = date.and_then(|date| time::local(&zone, date));
        let month = at.map_or_else(|| UNDATED.to_owned(), |at| at.strftime("%Y-%m").to_string());
        let (names, files) = months.entry(month).or_default();
        let name = names.free(&name);
        files.push(Part { name: name.into(), what: What::File(number), time: date });
    }
    let mut children = Vec::new();
    let mut last = None;
    let mut add = |part: Part| {
        let number = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        parts.push(part);
        number
    };
    let mut laid = Vec::new();
    for (month, (_, files)) in months {
        let time = files.iter().filter_map(|file| file.time).max();
        last = last.max(time);
        let files: Vec<u32> = files.into_iter().map(&mut add).collect();
        let folder = add(Part { name: month.into(), what: What::Folder(None, None), time });
        children.push(folder);
        laid.push((folder, files));
    }
    for (folder, files) in laid {
        let files = sorted(parts, files);
        if let Some(part) = parts.get_mut(folder as usize) {
            part.what = What::Folder(Some(files), None);
        }
    }
    let children = sorted(parts, children);
    if let Some(part) = parts.get_mut(of as usize) {
        (part.what, part.time) = (What::Folder(Some(children), None), last);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    date: Option<i64>,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default)]
    media: Vec<Media>,
}

/// The files that the messages of a batch show.
fn shown_in(batch: &[u8], zone: &TimeZone) -> Vec<Shown> {
    let mut shown = Vec::new();
    for (_, line) in lines(batch) {
        // Most messages have no files, and are never taken apart.
        if memchr::memmem::find(line, b"\"media\"").is_none() {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { continue };
        let message = line.message.get();
        for media in line.media.into_iter().filter(|media| !matches!(media.role, MediaRole::Thumbnail | MediaRole::CustomEmoji)) {
            let name = name_of(&media, message, line.date, zone);
            if let Some(path) = media.path {
                shown.push(Shown { path, date: line.date, name });
            }
        }
    }
    shown
}

/// The name that a file was sent with, or had in an export; for others what it is and when it was sent.
fn name_of(media: &Media, message: &str, date: Option<i64>, zone: &TimeZone) -> String {
    let exported = media.exported_as.as_deref().and_then(|path| path.rsplit('/').next());
    if let Some(name) = media.name.as_deref().or(exported).filter(|name| !name.is_empty()) {
        return sanitise(name);
    }
    let kind = match FileKind::of_stored(media, message) {
        Some(FileKind::Photo) => "photo",
        Some(FileKind::Video) => "video",
        Some(FileKind::VoiceMessage) => "voice",
        Some(FileKind::VideoMessage) => "round_video",
        Some(FileKind::Sticker) => "sticker",
        Some(FileKind::Gif) => "animation",
        Some(FileKind::Music) => "music",
        Some(FileKind::File) => "file",
        None => "contact",
    };
    let at = date.and_then(|date| time::local(zone, date)).map(|at| at.strftime("_%Y-%m-%d_%H-%M-%S").to_string()).unwrap_or_default();
    let stored = media.path.as_ref().map(EntryPath::file_name).unwrap_or_default();
    let ending = stored.iter().rposition(|&byte| byte == b'.').and_then(|dot| stored.get(dot..)).unwrap_or_default();
    sanitise(&format!("{kind}{at}{}", String::from_utf8_lossy(ending)))
}

/// The names of one folder that are taken. Case counts for nothing: files may be copied to a disk where it does not.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn is_free(&self, name: &str) -> bool {
        !self.0.contains(&name.to_lowercase())
    }

    fn take(&mut self, name: &str) {
        self.0.insert(name.to_lowercase());
    }

    /// The name, with a number before its ending where it is taken.
    fn free(&mut self, name: &str) -> String {
        let (stem, ending) = name.rfind('.').filter(|dot| *dot > 0).map_or((name, ""), |dot| name.split_at(dot));
        let numbered = (2..).map(|number: u64| format!("{stem} ({number}){ending}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| self.is_free(name)).unwrap_or_else(|| name.to_owned());
        self.take(&free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_folder_are_different_whatever_their_case() {
        let mut names = Names::default();
        let free: Vec<String> = ["a.jpg", "A.JPG", "a.jpg", ".x", ".x", "b", "B"].into_iter().map(|name| names.free(name)).collect();
        assert_eq!(free, ["a.jpg", "A (2).JPG", "a (3).jpg", ".x", ".x (2)", "b", "B (2)"]);
    }

    #[test]
    fn a_file_has_its_own_name_or_says_what_it_is() {
        let named = |json: &str, message: &str| {
            let media: Media = serde_json::from_str(json).unwrap();
            name_of(&media, message, Some(1_714_810_540), &TimeZone::UTC)
        };
        let stored = r#""status":"stored","path":"media/document/1-full.ogg""#;
        assert_eq!(named(&format!(r#"{{"role":"file",{stored},"name":"../a b.txt"}}"#), "{}"), ".._a b.txt");
        assert_eq!(named(&format!(r#"{{"role":"file",{stored},"exported_as":"chats/c/files/x.ogg"}}"#), "{}"), "x.ogg");
        assert_eq!(named(&format!(r#"{{"role":"file",{stored}}}"#), r#"{"media_type":"voice_message"}"#), "voice_2024-05-04_08-15-40.ogg");
    }
}
