//! tar members: ustar headers, with PAX records where ustar cannot say it.
//!
//! PAX records carry paths and link targets of more than 100 bytes, times with nanoseconds or before 1970, large owners and
//! extended attributes (`SCHILY.xattr.*`, as GNU tar and star write them).

use tar::{EntryType, Header};

use crate::model::entry::{Kind, Metadata};

/// tar's unit of length.
pub const BLOCK_BYTES: usize = 512;

/// Content is followed by zeros up to the next block.
pub fn padding(length: u64) -> usize {
    (length.next_multiple_of(BLOCK_BYTES as u64) - length) as usize
}

/// The end of a tar stream: two zero blocks.
pub const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// Values that fit ustar's octal fields of 8 and 12 bytes.
const MAX_OWNER: u32 = 0o7_777_777;
const MAX_SECONDS: i64 = 0o77_777_777_777;

fn pax_record(key: &[u8], value: &[u8], records: &mut Vec<u8>) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut digits = 1;
    while (rest + digits).to_string().len() != digits {
        digits += 1;
    }
    records.extend_from_slice((rest + digits).to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn set_bytes(field: &mut [u8], value: &[u8]) -> bool {
    let fits = value.len() <= field.len();
    let taken = value.len().min(field.len());
    if let (Some(to), Some(from)) = (field.get_mut(..taken), value.get(..taken)) {
        to.copy_from_slice(from);
    }
    fits
}

/// A time as PAX writes it, which is also what `touch -d @…` takes.
pub(super) fn pax_time(time: crate::model::entry::Timestamp) -> String {
    // PAX has decimal seconds: -1.25 is second -2 and 750,000,000 ns.
    let (seconds, nanos) = (time.seconds, time.nanos);
    if seconds < 0 && nanos > 0 {
        let (seconds, nanos) = (-(seconds + 1), 1_000_000_000 - nanos);
        format!("-{seconds}.{nanos:09}")
    } else {
        format!("{seconds}.{nanos:09}")
    }
}

/// The key of an attribute's record. A `=` would end the key, so GNU tar writes it, and with it `%`, in hexadecimal.
fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = b"SCHILY.xattr.".to_vec();
    for &byte in name {
        match byte {
            b'=' => key.extend_from_slice(b"%3D"),
            b'%' => key.extend_from_slice(b"%25"),
            _ => key.push(byte),
        }
    }
    key
}

/// Appends to `out` the header of a member (with a PAX header before it where one is needed); the content follows.
///
/// `path` is the member's name, `size` its content's length in bytes (0 for anything but a file).
pub fn write_header(path: &[u8], kind: &Kind, meta: &Metadata, size: u64, out: &mut Vec<u8>) {
    let mut records = Vec::new();
    let mut header = Header::new_ustar();
    header.set_mode(meta.mode & 0o7777);
    header.set_size(size);
    header.set_uid(u64::from(meta.uid.min(MAX_OWNER)));
    header.set_gid(u64::from(meta.gid.min(MAX_OWNER)));
    header.set_mtime(meta.mtime.seconds.clamp(0, MAX_SECONDS) as u64);
    let (entry_type, target): (EntryType, &[u8]) = match kind {
        Kind::File => (EntryType::Regular, b""),
        Kind::Dir => (EntryType::Directory, b""),
        Kind::Symlink { target } => (EntryType::Symlink, target),
        Kind::Hardlink { target } => (EntryType::Link, target.as_bytes()),
    };
    header.set_entry_type(entry_type);
    let mut name = path.to_vec();
    if matches!(kind, Kind::Dir) {
        name.push(b'/');
    }
    if !set_bytes(&mut header.as_old_mut().name, &name) {
        pax_record(b"path", &name, &mut records);
    }
    if !set_bytes(&mut header.as_old_mut().linkname, target) {
        pax_record(b"linkpath", target, &mut records);
    }
    if meta.mtime.nanos != 0 || !(0..=MAX_SECONDS).contains(&meta.mtime.seconds) {
        pax_record(b"mtime", pax_time(meta.mtime).as_bytes(), &mut records);
    }
    for (key, value) in [("uid", meta.uid), ("gid", meta.gid)] {
        if value > MAX_OWNER {
            pax_record(key.as_bytes(), value.to_string().as_bytes(), &mut records);
        }
    }
    for xattr in &meta.xattrs {
        pax_record(&xattr_key(&xattr.name), &xattr.value, &mut records);
    }
    header.set_cksum();
    if !records.is_empty() {
        let mut pax = Header::new_ustar();
        pax.set_entry_type(EntryType::XHeader);
        pax.set_mode(0o600);
        pax.set_uid(0);
        pax.set_gid(0);
        pax.set_mtime(0);
        pax.set_size(records.len() as u64);
        set_bytes(&mut pax.as_old_mut().name, b"PaxHeaders/tgvault");
        pax.set_cksum();
        out.extend_from_slice(pax.as_bytes());
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
    out.extend_from_slice(header.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::entry::{EntryPath, Timestamp, Xattr};
    use std::io::Read;

    #[test]
    fn the_tar_crate_reads_every_field_back() {
        let long = EntryPath::new([b"d/".as_slice(), &[b'n'; 300], b"\xff"].concat()).unwrap();
        let meta = Metadata {
            mode: 0o4755,
            uid: 3_000_000,
            gid: 7,
            mtime: Timestamp { seconds: -2, nanos: 750_000_000 },
            xattrs: vec![Xattr { name: b"user.a".to_vec(), value: b"1\0\xff".to_vec() }],
        };
        let mut bytes = Vec::new();
        write_header(long.as_bytes(), &Kind::File, &meta, 3, &mut bytes);
        bytes.extend_from_slice(b"abc");
        bytes.resize(bytes.len() + padding(3), 0);
        write_header(b"l", &Kind::Symlink { target: vec![b't'; 200] }, &Metadata::default(), 0, &mut bytes);
        bytes.extend_from_slice(&END);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entries = archive.entries().unwrap();
        let mut file = entries.next().unwrap().unwrap();
        assert_eq!(&*file.path_bytes(), long.as_bytes());
        assert_eq!(file.header().mode().unwrap(), 0o4755);
        let records: Vec<(Vec<u8>, Vec<u8>)> = file
            .pax_extensions()
            .unwrap()
            .unwrap()
            .map(|record| record.map(|record| (record.key_bytes().to_vec(), record.value_bytes().to_vec())).unwrap())
            .collect();
        assert!(records.contains(&(b"mtime".to_vec(), b"-1.250000000".to_vec())));
        assert!(records.contains(&(b"uid".to_vec(), b"3000000".to_vec())));
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "abc");
        let link = entries.next().unwrap().unwrap();
        assert_eq!(link.link_name_bytes().unwrap().len(), 200);
        assert!(entries.next().is_none());
    }
}
