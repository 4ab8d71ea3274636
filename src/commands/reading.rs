//! What commands share that read chats: which are meant, what they are called, and what could not be read.

use super::exit::Exit;
use super::output::Output;
use super::units::printable;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::messages::Unreadable;

/// What cannot be read is told at once, and remembered for the end.
pub struct Unread {
    output: Output,
    /// How much of it there was.
    pub count: u64,
    is_damage: bool,
}

impl Unread {
    /// Nothing so far.
    pub fn new(output: &Output) -> Self {
        Self { output: output.clone(), count: 0, is_damage: false }
    }

    /// Tells something that cannot be read; `is_damage` says that the vault has lost or changed it.
    pub fn tell(&mut self, text: &str, is_damage: bool) {
        self.output.warn(text);
        self.count += 1;
        self.is_damage |= is_damage;
    }

    /// Tells which parts of a snapshot are lost.
    pub fn lost(&mut self, chats: &OpenChats) {
        chats.opened().lost().iter().for_each(|lost| self.tell(lost, true));
    }

    /// Tells that a file cannot be read.
    pub fn file(&mut self, path: &EntryPath, error: &OperationError) {
        self.tell(&format!("cannot read '{path}': {error}"), error.is_damage());
    }

    /// Tells what of the logs cannot be read.
    pub fn logs(&mut self, logs: &Unreadable) {
        logs.told.iter().for_each(|text| self.output.warn(text));
        self.count += logs.count;
        self.is_damage |= logs.is_damage;
    }

    /// The chats of a snapshot that are called so, or all of them.
    ///
    /// # Errors
    /// When a name fits no chat, there are none, or the store fails. It blocks.
    pub fn chosen(&mut self, chats: &OpenChats, names: &[String]) -> Result<Vec<Chat>, OperationError> {
        if !chats.is_telegram() {
            return Err(chats.no_chats());
        }
        let all = chats.chats(&mut |path, error| self.file(path, error))?;
        Self::called(chats, all, names)
    }

    /// The same of whoever lists chats and reads no log.
    ///
    /// # Errors
    /// As [`Self::chosen`]. It blocks.
    pub fn described(&mut self, chats: &OpenChats, names: &[String]) -> Result<Vec<Chat>, OperationError> {
        if !chats.is_telegram() {
            return Err(chats.no_chats());
        }
        let all = chats.descriptions(&mut |path, error| self.file(path, error))?;
        Self::called(chats, all, names)
    }

    fn called(chats: &OpenChats, mut all: Vec<Chat>, names: &[String]) -> Result<Vec<Chat>, OperationError> {
        if !names.is_empty() {
            let wanted = chats.called_with_groups(&all, names)?;
            all.retain(|chat| wanted.contains(&chat.peer));
        }
        Ok(all)
    }

    /// How the run ends.
    pub fn exit(&self) -> Exit {
        Exit::after(self.is_damage, self.count > 0)
    }
}

/// A chat for people: its name, and who it is unmistakably.
pub fn chat_title(chat: &Chat) -> String {
    match chat.info.title() {
        Some(name) => format!("{} ({})", printable(name), chat.peer),
        None => chat.peer.to_string(),
    }
}
