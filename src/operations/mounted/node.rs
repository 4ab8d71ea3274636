//! What the numbers of files and folders stand for. A number says everything by itself, so that nothing has to be remembered of what was
//! looked at, and a snapshot that was closed meanwhile can be opened again.

/// The highest number of a volume.
pub(super) const MAX_VOLUME: u16 = u16::MAX - 1;

/// The deepest folder that no entry of its own tells of.
const MAX_DEPTH: usize = (1 << 12) - 1;

/// A file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The folder that is mounted.
    Root,
    /// The folder of all snapshots.
    Snapshots,
    /// The folder of a snapshot.
    Volume(u16),
    /// What a snapshot with chats holds, as it is stored.
    Stored(u16),
    /// The chats of a snapshot.
    Chats(u16),
    /// An entry of a snapshot, by its number in the tree.
    Entry(u16, u32),
    /// A folder that only paths below it tell of: so many components of the path of this entry.
    Implied(u16, u32, usize),
    /// Something below [`Node::Chats`], by its number there.
    OfChat(u16, u32),
}

impl Node {
    /// The number; 1 is that of the root, as FUSE wants it.
    pub fn number(self) -> u64 {
        let in_volume = |volume: u16, tag: u64, rest: u64| (u64::from(volume) + 1) << 48 | tag << 44 | rest;
        match self {
            Self::Root => 1,
            Self::Snapshots => 2,
            Self::Volume(volume) => in_volume(volume, 0, 0),
            Self::Stored(volume) => in_volume(volume, 1, 0),
            Self::Chats(volume) => in_volume(volume, 2, 0),
            Self::Entry(volume, entry) => in_volume(volume, 3, entry.into()),
            Self::Implied(volume, entry, depth) => in_volume(volume, 4, u64::from(entry) << 12 | depth.min(MAX_DEPTH) as u64),
            Self::OfChat(volume, number) => in_volume(volume, 5, number.into()),
        }
    }

    /// What a number stands for; `None` for one that [`Self::number`] never gave.
    pub fn of(number: u64) -> Option<Self> {
        let Some(volume) = (number >> 48).checked_sub(1) else {
            return match number {
                1 => Some(Self::Root),
                2 => Some(Self::Snapshots),
                _ => None,
            };
        };
        let volume = u16::try_from(volume).ok()?;
        let rest = number & ((1 << 44) - 1);
        let short = u32::try_from(rest);
        Some(match number >> 44 & 0xf {
            0 => Self::Volume(volume),
            1 => Self::Stored(volume),
            2 => Self::Chats(volume),
            3 => Self::Entry(volume, short.ok()?),
            4 => Self::Implied(volume, (rest >> 12) as u32, (rest & MAX_DEPTH as u64) as usize),
            5 => Self::OfChat(volume, short.ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_for_one_node() {
        let nodes = [
            Node::Root,
            Node::Snapshots,
            Node::Volume(0),
            Node::Volume(MAX_VOLUME),
            Node::Stored(3),
            Node::Chats(3),
            Node::Entry(0, 0),
            Node::Entry(MAX_VOLUME, u32::MAX),
            Node::Implied(7, u32::MAX, MAX_DEPTH),
            Node::Implied(7, 0, 1),
            Node::OfChat(1, u32::MAX),
        ];
        let mut numbers: Vec<u64> = nodes.iter().map(|node| node.number()).collect();
        for (node, number) in nodes.iter().zip(&numbers) {
            assert_eq!(Node::of(*number), Some(*node));
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), nodes.len());
        assert_eq!((Node::of(0), Node::of(3), Node::of(u64::MAX)), (None, None, None));
    }
}
