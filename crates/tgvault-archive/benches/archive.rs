//! Writing and reading one archive in memory, for media (stored raw) and for chat JSON (compressed).
//!
//! `cargo bench --bench archive`
#![allow(missing_docs)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tgvault_archive::archive::check::check;
use tgvault_archive::archive::parts::{PartBuffer, PartPool, PartSink};
use tgvault_archive::archive::reader::{ArchiveReader, Expected, Scratch};
use tgvault_archive::archive::writer::{ArchiveWriter, NewFile, Sealed};
use tgvault_archive::crypt::keys::{Identities, Recipients, expose, generate};
use tgvault_archive::model::digest::Id;
use tgvault_archive::model::entry::{EntryPath, Metadata};

const BYTES: usize = 64 << 20;
const FILE_BYTES: usize = 1 << 20;

/// Takes parts and forgets them.
struct Nowhere;

impl PartSink for Nowhere {
    fn part(&mut self, part: PartBuffer) -> std::io::Result<()> {
        black_box(part.as_ref());
        Ok(())
    }
}

fn media() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(BYTES);
    while bytes.len() < BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

fn chat() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES + 200);
    let mut id = 0_u64;
    while bytes.len() < BYTES {
        id += 1;
        let noise = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bytes.extend_from_slice(
            format!("{{\"id\": {id}, \"type\": \"message\", \"from_id\": \"user{}\", \"text\": \"{noise:x} and so on\"}},\n", noise >> 40)
                .as_bytes(),
        );
    }
    bytes.truncate(BYTES);
    bytes
}

fn write<S: PartSink>(recipients: &Recipients, content: &[u8], sink: S) -> (Sealed, S) {
    let mut writer = ArchiveWriter::new(Id([1; 16]), recipients, sink, PartPool::new(3)).unwrap();
    let meta = Metadata::default();
    for (number, file) in content.chunks(FILE_BYTES).enumerate() {
        let path = EntryPath::new(format!("file-{number}")).unwrap();
        let length = file.len() as u64;
        let new = NewFile { path: &path, meta: &meta, stamp: None, size: length, sparse: false, length, part: None };
        writer.append_file(&new, &mut &*file).unwrap();
    }
    writer.finish().unwrap()
}

fn archive(criterion: &mut Criterion) {
    let (secret, recipient) = generate();
    let recipients = Recipients::parse([recipient.as_str()]).unwrap();
    let identities = Identities::parse(expose(&secret)).unwrap();
    let mut group = criterion.benchmark_group("archive");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES as u64));
    for (name, content) in [("media", media()), ("chat", chat())] {
        group.bench_with_input(BenchmarkId::new("write", name), &content, |bencher, content| {
            bencher.iter(|| write(&recipients, content, Nowhere).0);
        });
        let (sealed, stored) = write(&recipients, &content, Vec::new());
        let stored = Bytes::from(stored);
        let expected = Expected { id: sealed.id, length: sealed.length, header_sha256: sealed.header_sha256 };
        group.bench_with_input(BenchmarkId::new("read", name), &stored, |bencher, stored| {
            bencher.iter(|| {
                let reader = ArchiveReader::open(stored.clone(), &expected, &identities).unwrap();
                reader.scan(0..reader.frames(), &mut Scratch::default(), &mut |_, plain| {
                    black_box(plain);
                    Ok(())
                })
            });
        });
        group.bench_with_input(BenchmarkId::new("check", name), &stored, |bencher, stored| {
            bencher.iter(|| check(&ArchiveReader::open(stored.clone(), &expected, &identities).unwrap(), false).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, archive);
criterion_main!(benches);
