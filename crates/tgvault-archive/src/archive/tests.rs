//! An archive written and read back: whole, one file, damaged at every byte.

use std::io::{Read, Seek, Write};

use bytes::Bytes;
use proptest::prelude::*;

use super::index::{IndexEntry, Part};
use super::parts::PartPool;
use super::reader::{ArchiveReader, Expected};
use super::writer::{ArchiveWriter, NewFile, Sealed};
use super::{ArchiveError, FRAME_BYTES, check, frame, seek};
use crate::crypt::digest::sha256;
use crate::crypt::keys::{self, Identities, Recipients};
use crate::crypt::{blob, header};
use crate::model::digest::Id;
use crate::model::entry::{EntryPath, Kind, Metadata, Timestamp};

const ID: Id = Id([0xab; 16]);

fn pair() -> (Recipients, Identities) {
    let (secret, recipient) = keys::generate();
    (Recipients::parse([recipient.as_str()]).unwrap(), Identities::parse(keys::expose(&secret)).unwrap())
}

fn meta() -> Metadata {
    Metadata { mode: 0o640, uid: 1, gid: 2, mtime: Timestamp { seconds: 1_700_000_000, nanos: 5 }, xattrs: Vec::new() }
}

fn write(recipients: &Recipients, files: &[(EntryPath, Vec<u8>)]) -> (Bytes, Sealed) {
    let mut writer = ArchiveWriter::new(ID, recipients, Vec::new(), PartPool::new(2)).unwrap();
    writer.append_plain(&EntryPath::new("folder").unwrap(), &Kind::Dir, &meta(), None).unwrap();
    for (path, content) in files {
        let (meta, length) = (meta(), content.len() as u64);
        let file = NewFile { path, meta: &meta, stamp: None, size: length, sparse: false, length, part: None };
        let stored = writer.append_file(&file, &mut content.as_slice()).unwrap();
        assert_eq!((stored.located.sha256, stored.located.short), (sha256(content), false));
    }
    writer.append_removal(b"gone");
    let (sealed, stored) = writer.finish().unwrap();
    assert_eq!((sealed.length, sealed.sha256), (stored.len() as u64, sha256(&stored)));
    (Bytes::from(stored), sealed)
}

fn expected(sealed: &Sealed) -> Expected {
    Expected { id: sealed.id, length: sealed.length, header_sha256: sealed.header_sha256 }
}

/// Reads index and every content through ranges; checks the contents' digests.
fn read(stored: &Bytes, expected: &Expected, identities: &Identities) -> Result<Vec<(IndexEntry, Vec<u8>)>, ArchiveError> {
    let reader = ArchiveReader::open(stored.clone(), expected, identities)?;
    let mut entries = Vec::new();
    let own = reader.own_members(&mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    assert_eq!(own.remove, [EntryPath::new("gone").unwrap()]);
    let mut all = Vec::new();
    for entry in entries {
        let mut content = Vec::new();
        if let Some(located) = &entry.content {
            reader.content(located, &mut |piece| {
                content.extend_from_slice(piece);
                Ok(())
            })?;
            if sha256(&content) != located.sha256 {
                return Err(super::damaged("a content"));
            }
        }
        all.push((entry, content));
    }
    let mut tar = Vec::new();
    reader.tar_stream().read_to_end(&mut tar)?;
    if tar.len() as u64 != reader.tar_bytes() {
        return Err(super::damaged("the tar stream"));
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_goes_in_comes_out(lengths in prop::collection::vec(0..3 * FRAME_BYTES, 0..6), compressible in any::<bool>()) {
        let (recipients, identities) = pair();
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if compressible { b"aab"[(state >> 60) as usize % 3] } else { (state >> 56) as u8 }
        };
        let files: Vec<(EntryPath, Vec<u8>)> = lengths
            .iter()
            .enumerate()
            .map(|(number, &length)| (EntryPath::new(format!("folder/{number}")).unwrap(), (0..length).map(|_| byte()).collect()))
            .collect();
        let (stored, sealed) = write(&recipients, &files);
        let all = read(&stored, &expected(&sealed), &identities).unwrap();
        prop_assert_eq!(all.len(), files.len() + 1);
        for ((entry, content), (path, wanted)) in all.iter().skip(1).zip(&files) {
            prop_assert_eq!(&entry.path, path);
            prop_assert_eq!(&entry.meta, &meta());
            prop_assert!(content == wanted);
        }
    }
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_small_archive_is_reported() {
    let (recipients, identities) = pair();
    let (stored, sealed) = write(&recipients, &[(EntryPath::new("folder/a").unwrap(), b"some content".to_vec())]);
    let expected = expected(&sealed);
    assert_eq!(read(&stored, &expected, &identities).unwrap().len(), 2);
    for position in 0..stored.len() {
        let mut changed = stored.to_vec();
        changed[position] ^= 0x10;
        assert!(read(&Bytes::from(changed), &expected, &identities).is_err(), "byte {position}");
        assert!(read(&stored.slice(..position), &expected, &identities).is_err(), "cut at {position}");
        let cut = Expected { length: position as u64, ..expected };
        assert!(read(&stored.slice(..position), &cut, &identities).is_err(), "cut with its length at {position}");
    }
}

#[test]
fn cuts_and_flips_around_chunk_borders_are_reported() {
    let (recipients, identities) = pair();
    let noise: Vec<u8> = (0..400_000_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    let (stored, sealed) = write(&recipients, &[(EntryPath::new("folder/a").unwrap(), noise)]);
    let sound = expected(&sealed);
    let borders = (0..).map(|n| n * 65_552).take_while(|&border| border < stored.len());
    for position in borders.flat_map(|border| (border.saturating_sub(3)..border + 260).step_by(7)).filter(|&at| at < stored.len()) {
        let mut changed = stored.to_vec();
        changed[position] ^= 1;
        assert!(read(&Bytes::from(changed), &sound, &identities).is_err(), "byte {position}");
        let cut = Expected { length: position as u64, ..sound };
        assert!(read(&stored.slice(..position), &cut, &identities).is_err(), "cut at {position}");
    }
}

#[test]
fn a_forged_archive_that_is_sound_in_itself_is_refused() {
    let (recipients, identities) = pair();
    let (_, sealed) = write(&recipients, &[(EntryPath::new("a").unwrap(), b"true".to_vec())]);
    let (forged, forged_sealed) = write(&recipients, &[(EntryPath::new("a").unwrap(), b"lies".to_vec())]);
    let claimed = Expected { length: forged_sealed.length, ..expected(&sealed) };
    assert!(matches!(ArchiveReader::open(forged, &claimed, &identities), Err(ArchiveError::ForeignHeader { .. })));
    // Also when it was made for somebody else's key.
    let (foreign, foreign_sealed) = write(&pair().0, &[(EntryPath::new("a").unwrap(), b"lies".to_vec())]);
    let claimed = Expected { length: foreign_sealed.length, ..expected(&sealed) };
    assert!(matches!(ArchiveReader::open(foreign, &claimed, &identities), Err(ArchiveError::ForeignHeader { .. })));
    let (other, other_sealed) = write(&pair().0, &[]);
    assert!(matches!(
        ArchiveReader::open(other, &expected(&other_sealed), &identities),
        Err(ArchiveError::Crypt(crate::crypt::CryptError::WrongKey))
    ));
}

/// Gives some bytes, then fails.
struct Failing(u64);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::Error::other("the disk is broken"));
        }
        let got = self.0.min(buffer.len() as u64);
        self.0 -= got;
        buffer[..got as usize].fill(b'x');
        Ok(got as usize)
    }
}

#[test]
fn a_body_that_shrinks_or_fails_keeps_what_was_read_and_is_marked_short() {
    let (recipients, identities) = pair();
    let mut writer = ArchiveWriter::new(ID, &recipients, Vec::new(), PartPool::new(2)).unwrap();
    let (path, meta) = (EntryPath::new("f").unwrap(), meta());
    let file = NewFile { path: &path, meta: &meta, stamp: None, size: 5000, sparse: false, length: 5000, part: None };
    let stored = writer.append_file(&file, &mut Failing(3000)).unwrap();
    assert!(stored.failure.is_some() && stored.located.short);
    let (other, more) = (EntryPath::new("g").unwrap(), b"after".to_vec());
    let file = NewFile { path: &other, size: 5, length: 5, ..file };
    writer.append_file(&file, &mut more.as_slice()).unwrap();
    writer.append_removal(b"gone");
    let (sealed, bytes) = writer.finish().unwrap();
    let all = read(&Bytes::from(bytes), &expected(&sealed), &identities).unwrap();
    assert_eq!(all[0].1, vec![b'x'; 3000]);
    assert_eq!((all[0].0.size, all[1].1.as_slice()), (3000, b"after".as_slice()));
}

#[test]
fn the_whole_is_an_ordinary_age_zstd_tar_file() {
    let (secret, recipient) = keys::generate();
    let recipients = Recipients::parse([recipient.as_str()]).unwrap();
    let identity: age::x25519::Identity = keys::expose(&secret).parse().unwrap();
    let mut writer = ArchiveWriter::new(ID, &recipients, Vec::new(), PartPool::new(2)).unwrap();
    let (path, meta, content) = (EntryPath::new("big").unwrap(), meta(), b"part one, part two".to_vec());
    for (n, range) in [(1, 0..9), (2, 9..18)] {
        let part = Some(Part { n, of: 2, file: Id([1; 16]) });
        let file = NewFile { path: &path, meta: &meta, stamp: None, size: 18, sparse: false, length: 9, part };
        writer.append_file(&file, &mut &content[range]).unwrap();
    }
    let (_, stored) = writer.finish().unwrap();
    let mut tar = tempfile::tempfile().unwrap();
    tar.write_all(&zstd::decode_all(age::decrypt(&identity, &stored).unwrap().as_slice()).unwrap()).unwrap();
    tar.rewind().unwrap();
    let mut names = Vec::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        names.push((String::from_utf8(entry.path_bytes().into_owned()).unwrap(), content));
    }
    assert_eq!(names[0], ("big.tgvault-part-0001".to_owned(), b"part one,".to_vec()));
    assert_eq!(names[1], ("big.tgvault-part-0002".to_owned(), b" part two".to_vec()));
    assert_eq!(names[2].0, format!(".tgvault/{ID}/index.jsonl"));
    assert_eq!(names[3], (format!(".tgvault/{ID}/refs"), b"join\0big\x002\0".to_vec()));
}

/// Opens an archive of this tar, in one frame, as somebody who may write could forge it.
fn forged(tar: &[u8]) -> ArchiveReader<Bytes> {
    let (recipients, identities) = pair();
    let mut plain = frame::FrameCoder::new().unwrap().code(tar).unwrap().to_vec();
    let frames = vec![seek::Frame { coded: plain.len() as u32, plain: tar.len() as u32 }];
    plain.extend(seek::write(&seek::Layout { id: ID, own_frame: 0, frames }));
    let stored = blob::seal(&plain, &recipients).unwrap();
    let (head, _) = header::open(&stored, &identities).unwrap();
    let expected = Expected { id: ID, length: stored.len() as u64, header_sha256: sha256(&stored[..head]) };
    ArchiveReader::open(Bytes::from(stored), &expected, &identities).unwrap()
}

#[test]
fn a_tar_member_of_an_absurd_size_is_reported() {
    for size in [u64::MAX, u64::MAX - 511, 1 << 63, 1 << 40, 1024] {
        for kind in [tar::EntryType::Regular, tar::EntryType::Directory, tar::EntryType::XHeader] {
            let mut header = tar::Header::new_ustar();
            header.set_path(format!(".tgvault/{ID}/refs")).unwrap();
            header.set_entry_type(kind);
            header.set_size(size);
            header.set_cksum();
            let reader = forged(&[header.as_bytes().as_slice(), &[0; 1024]].concat());
            assert!(check::check(&reader, false).is_err(), "{size} {kind:?}");
        }
    }
}
