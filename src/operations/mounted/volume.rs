//! One open snapshot as folders and files: what lies at a path, and what is in a folder.

use std::collections::HashMap;
use std::ops::Range;

use super::node::Node;
use super::{Attributes, Child, Form, Refusal};
use crate::model::entry::{EntryPath, Kind, Timestamp};
use crate::operations::chats::OpenChats;
use crate::operations::snapshot::OpenSnapshot;
use crate::repository::tree::{Tree, TreeEntry};

/// What a folder without an entry of its own lets its owner do.
const FOLDER_MODE: u32 = 0o755;

/// An open snapshot.
pub(super) struct Volume {
    number: u16,
    chats: OpenChats,
    /// Whether it holds chats, which then have a folder of their own.
    pub has_chats: bool,
    /// How many names files have that have several.
    names: HashMap<u32, u32>,
}

/// A place in the tree of a snapshot.
struct At {
    node: Node,
    path: EntryPath,
    /// `None` for a folder that only paths below it tell of.
    entry: Option<TreeEntry>,
}

impl Volume {
    pub fn new(number: u16, opened: OpenSnapshot) -> Self {
        let chats = OpenChats::of(opened);
        let has_chats = chats.is_telegram();
        let mut names = HashMap::new();
        let tree = chats.opened().tree();
        for target in tree.iter().filter_map(|(_, entry)| if let Kind::Hardlink { target } = entry.kind { Some(target) } else { None }) {
            if let Some((first, _)) = tree.find(&target) {
                *names.entry(first).or_insert(1) += 1;
            }
        }
        Self { number, chats, has_chats, names }
    }

    pub fn chats(&self) -> &OpenChats {
        &self.chats
    }

    pub fn tree(&self) -> &Tree {
        self.chats.opened().tree()
    }

    /// When the snapshot was made: the time of folders that have none.
    pub fn time(&self) -> Timestamp {
        Timestamp { seconds: self.chats.opened().snapshot().time.as_second(), nanos: 0 }
    }

    /// A folder that no entry tells of.
    pub fn folder(&self, node: Node) -> Attributes {
        let time = self.chats.opened().snapshot().top.as_ref().filter(|_| matches!(node, Node::Volume(_))).map(|top| top.mtime);
        Attributes::folder(node.number(), FOLDER_MODE, time.unwrap_or(self.time()))
    }

    fn at(&self, node: Node) -> Option<At> {
        match node {
            Node::Entry(_, number) => {
                let (path, entry) = self.tree().at(number)?;
                Some(At { node, path, entry: Some(entry) })
            }
            Node::Implied(_, number, depth) => {
                let (below, _) = self.tree().at(number)?;
                let path = beginning(&below, depth)?;
                Some(At { node, path, entry: None })
            }
            _ => None,
        }
    }

    /// What is known of an entry.
    pub fn attributes(&self, node: Node) -> Result<Attributes, Refusal> {
        let at = self.at(node).ok_or(Refusal::Missing)?;
        Ok(match &at.entry {
            None => self.folder(at.node),
            Some(entry) => self.of_entry(at.node, entry),
        })
    }

    fn of_entry(&self, node: Node, entry: &TreeEntry) -> Attributes {
        // A further name of a file is that file.
        if let Kind::Hardlink { target } = &entry.kind
            && let Some((number, first)) = self.tree().find(target)
            && first.kind == Kind::File
        {
            return self.of_entry(Node::Entry(self.number, number), &first);
        }
        let meta = entry.meta();
        let (form, bytes) = match &entry.kind {
            Kind::Dir => (Form::Folder, 0),
            Kind::Symlink { target } => (Form::Link, target.len() as u64),
            Kind::File | Kind::Hardlink { .. } => (Form::File, entry.stored_size()),
        };
        let names = if let Node::Entry(_, number) = node { self.names.get(&number).copied().unwrap_or(1) } else { 1 };
        let owner = Some((meta.uid, meta.gid));
        Attributes { number: node.number(), form, bytes, mode: meta.mode & 0o7777, owner, time: meta.mtime, names }
    }

    /// What a folder has under a name.
    pub fn find(&self, folder: Node, name: &[u8]) -> Result<Attributes, Refusal> {
        let path = match self.path_of(folder)? {
            // One component and no more.
            None if name.contains(&b'/') => return Err(Refusal::Missing),
            None => EntryPath::new(name),
            Some(path) => path.join(name),
        };
        let path = path.map_err(|_| Refusal::Missing)?;
        if let Some((number, entry)) = self.tree().find(&path) {
            return Ok(self.of_entry(Node::Entry(self.number, number), &entry));
        }
        let below = self.tree().numbers_below(&path);
        if below.is_empty() {
            return Err(Refusal::Missing);
        }
        Ok(self.folder(Node::Implied(self.number, below.start, path.components().count())))
    }

    /// The path of a folder; `None` for that of all.
    fn path_of(&self, folder: Node) -> Result<Option<EntryPath>, Refusal> {
        match folder {
            Node::Volume(_) | Node::Stored(_) => Ok(None),
            _ => {
                let at = self.at(folder).ok_or(Refusal::Missing)?;
                match &at.entry {
                    Some(entry) if entry.kind != Kind::Dir => Err(Refusal::NotAFolder),
                    _ => Ok(Some(at.path)),
                }
            }
        }
    }

    /// Hands what is in a folder to `each`, until it wants no more; `from` is 0, or what `each` got with the last that it took.
    pub fn children(&self, folder: Node, from: u64, each: &mut dyn FnMut(Child<'_>, u64) -> bool) -> Result<(), Refusal> {
        let path = self.path_of(folder)?;
        let (range, depth) = match &path {
            None => (0..u32::try_from(self.tree().len()).unwrap_or(u32::MAX), 0),
            Some(path) => (self.tree().numbers_below(path), path.components().count()),
        };
        let mut next = range.start.max(u32::try_from(from).unwrap_or(u32::MAX));
        while next < range.end {
            let (path, entry) = self.tree().at(next).ok_or(Refusal::Missing)?;
            let child = beginning(&path, depth + 1).ok_or(Refusal::Missing)?;
            let attributes = if child == path {
                self.of_entry(Node::Entry(self.number, next), &entry)
            } else {
                self.folder(Node::Implied(self.number, next, depth + 1))
            };
            let below: Range<u32> = self.tree().numbers_below(&child);
            next = below.end.max(next + 1);
            if !each(Child { name: child.file_name(), number: attributes.number, form: attributes.form }, next.into()) {
                break;
            }
        }
        Ok(())
    }

    /// Where a symbolic link leads.
    pub fn link(&self, node: Node) -> Result<Vec<u8>, Refusal> {
        match self.at(node).and_then(|at| at.entry).ok_or(Refusal::Missing)?.kind {
            Kind::Symlink { target } => Ok(target),
            _ => Err(Refusal::NotALink),
        }
    }

    /// The stored file of an entry, with its path.
    pub fn file(&self, number: u32) -> Result<(EntryPath, TreeEntry), Refusal> {
        let (path, entry) = self.tree().at(number).ok_or(Refusal::Missing)?;
        match &entry.kind {
            Kind::File => Ok((path, entry)),
            Kind::Dir => Err(Refusal::IsAFolder),
            Kind::Symlink { .. } | Kind::Hardlink { .. } => Err(Refusal::Missing),
        }
    }
}

/// The first components of a path.
fn beginning(path: &EntryPath, components: usize) -> Option<EntryPath> {
    let parts: Vec<&[u8]> = path.components().take(components).collect();
    (parts.len() == components).then(|| EntryPath::new(parts.join(&b'/')).ok())?
}
