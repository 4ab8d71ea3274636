//! A whole archive behind a sound envelope, as somebody who may write could forge it: any bytes, or a sound archive with
//! changes in its tar, its layout and its end. Index, removals, every content and the full check are read.
#![no_main]

use std::io::Read;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tgvault_archive::archive::check::check;
use tgvault_archive::archive::frame::FrameCoder;
use tgvault_archive::archive::index::{IndexEntry, Part};
use tgvault_archive::archive::parts::PartPool;
use tgvault_archive::archive::reader::{ArchiveReader, Expected};
use tgvault_archive::archive::seek::{Frame, Layout, write};
use tgvault_archive::archive::writer::{ArchiveWriter, NewFile};
use tgvault_archive::model::digest::Id;
use tgvault_archive::model::entry::{EntryPath, Kind, Metadata, Timestamp, Xattr};
use tgvault_fuzz::{ID, identities, recipients, sealed};

const BLOCK: usize = 512;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// The plain bytes behind the envelope.
    Raw(&'a [u8]),
    /// A sound archive with changes.
    Changed(Changed<'a>),
}

#[derive(Arbitrary, Debug)]
struct Changed<'a> {
    /// Bytes written over the tar stream.
    edits: Vec<(u16, &'a [u8])>,
    /// Sizes written into the header in that block of the tar, as octal digits or, above their range, in base 256.
    sizes: Vec<(u8, u64)>,
    /// Whether tar headers get sound checksums after that.
    repairs: bool,
    /// Blocks in each frame.
    frame_blocks: u8,
    /// The first frame of the archive's own members, if not where it is.
    own_frame: Option<u8>,
    /// Lines put into the index.
    lines: &'a [u8],
    /// Bytes changed at the end, counted from it.
    end: Vec<(u8, u8)>,
}

/// A sound archive's tar stream, and where its own members begin in it.
static SOUND: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| sound().expect("a sound archive"));

fn sound() -> Result<(Vec<u8>, usize), Box<dyn std::error::Error>> {
    let path = |text: &str| EntryPath::new(text);
    let meta = Metadata {
        mode: 0o640,
        uid: 1,
        gid: 3_000_000,
        mtime: Timestamp { seconds: 1_700_000_000, nanos: 5 },
        xattrs: vec![Xattr { name: b"user.a".to_vec(), value: b"1\n".to_vec() }],
    };
    let mut writer = ArchiveWriter::new(ID, recipients(), Vec::new(), PartPool::new(2))?;
    writer.append_plain(&path("d")?, &Kind::Dir, &meta, None)?;
    writer.append_plain(&path("d/l")?, &Kind::Symlink { target: b"../x".to_vec() }, &meta, None)?;
    let part = Part { n: 1, of: 1, file: Id([7; 16]) };
    for (name, content, part) in [("d/a", &b"some content"[..], None), ("d/b", &[7; 1000], None), ("d/film", b"part", Some(part))] {
        let (name, length) = (path(name)?, content.len() as u64);
        let file = NewFile { path: &name, meta: &meta, stamp: None, size: length, sparse: false, length, part };
        writer.append_file(&file, &mut &*content)?;
    }
    let hard = Kind::Hardlink { target: path("d/a")? };
    writer.append_reference(&IndexEntry { path: path("d/h")?, kind: hard, meta, stamp: None, size: 0, sparse: false, content: None })?;
    writer.append_removal(b"gone");
    let (made, stored) = writer.finish()?;
    let expected = Expected { id: ID, length: made.length, header_sha256: made.header_sha256 };
    let reader = ArchiveReader::open(Bytes::from(stored), &expected, identities())?;
    let mut tar = Vec::new();
    reader.tar_stream().read_to_end(&mut tar)?;
    let own = usize::try_from(reader.tar_place(reader.own_frame())?)?;
    Ok((tar, own))
}

fn set_size(header: &mut [u8], size: u64) {
    let field = &mut header[124..136];
    if size < 1 << 33 {
        field.copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        field.fill(0);
        field[0] = 0x80;
        field[4..].copy_from_slice(&size.to_be_bytes());
    }
}

fn repair(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn plain(changed: &Changed<'_>) -> Vec<u8> {
    let (sound, own) = &*SOUND;
    let (mut tar, mut own) = (sound.clone(), *own);
    if !changed.lines.is_empty() {
        // Before the first line of the index, which stands in the block behind the member's header.
        let mut header = tar[own..own + BLOCK].to_vec();
        let old = usize::from_str_radix(std::str::from_utf8(&header[124..135]).unwrap_or("0"), 8).unwrap_or(0);
        let content = [changed.lines, &tar[own + BLOCK..own + BLOCK + old]].concat();
        set_size(&mut header, content.len() as u64);
        repair(&mut header);
        let mut member = [header, content].concat();
        member.resize(member.len().next_multiple_of(BLOCK), 0);
        tar.splice(own..own + BLOCK + old.next_multiple_of(BLOCK), member);
    }
    for (at, bytes) in &changed.edits {
        for (to, from) in tar.iter_mut().skip(usize::from(*at)).zip(*bytes) {
            *to = *from;
        }
    }
    for (block, size) in &changed.sizes {
        if let Some(header) = tar.chunks_exact_mut(BLOCK).nth(usize::from(*block)) {
            set_size(header, *size);
        }
    }
    if changed.repairs {
        tar.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar").for_each(repair);
    }
    let mut coder = FrameCoder::new().expect("memory for zstd");
    let (mut coded, mut frames) = (Vec::new(), Vec::new());
    let step = BLOCK * (usize::from(changed.frame_blocks) + 1);
    own -= own % step;
    for frame in tar.chunks(step) {
        let bytes = coder.code(frame).expect("zstd");
        frames.push(Frame { coded: bytes.len() as u32, plain: frame.len() as u32 });
        coded.extend_from_slice(bytes);
    }
    let own_frame = changed.own_frame.map_or((own / step) as u32, u32::from);
    coded.extend_from_slice(&write(&Layout { id: ID, own_frame, frames }));
    for (back, byte) in &changed.end {
        if let Some(to) = coded.iter_mut().rev().nth(usize::from(*back)) {
            *to = *byte;
        }
    }
    coded
}

fuzz_target!(|input: Input<'_>| {
    let plain = match &input {
        Input::Raw(bytes) => bytes.to_vec(),
        Input::Changed(changed) => plain(changed),
    };
    let (stored, expected) = sealed(&plain);
    let Ok(reader) = ArchiveReader::open(Bytes::from(stored), &expected, identities()) else { return };
    let mut entries = Vec::new();
    let _ = reader.own_members(&mut |entry| {
        entries.push(entry);
        Ok(())
    });
    for located in entries.iter().filter_map(|entry| entry.content.as_ref()) {
        let mut length = 0;
        let read = reader.content(located, &mut |piece| {
            length += piece.len() as u64;
            Ok(())
        });
        assert!(read.is_err() || length == located.length);
    }
    for merged in [false, true] {
        let _ = check(&reader, merged);
    }
});
