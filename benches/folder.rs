//! Listing a folder, reading it, and restoring into one from memory.
//!
//! `TGVAULT_BENCH_FILES` sets the number of files (500; half a megabyte each on average) and `TGVAULT_BENCH_DIR` where they lie
//! (the system's temporary folder).

use std::hint::black_box;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tgvault::model::entry::{EntryPath, Metadata};
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::source::{Item, Problem, Sink, Source, Stopped};
use tgvault::target::{Overwrite, TargetFolder, TargetOptions};

const THREADS: usize = 2;

#[derive(Default)]
struct Collect(Vec<Item>);

impl Sink for Collect {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        self.0.push(item);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        panic!("{problem:?}");
    }
}

fn place() -> tempfile::TempDir {
    let dir = std::env::var_os("TGVAULT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(dir).expect("a folder for the benchmark")
}

/// Paths and sizes: 20 folders of files from 50 KiB to 1 MiB.
fn files() -> Vec<(EntryPath, usize)> {
    let count: usize = std::env::var("TGVAULT_BENCH_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    (0..count)
        .map(|number| {
            let path = EntryPath::new(format!("folder-{}/file-{number}", number * 20 / count)).expect("a valid path");
            (path, 50 * 1024 + number * 7919 % 974 * 1024)
        })
        .collect()
}

fn restore(files: &[(EntryPath, usize)], content: &[u8], sync: bool) -> (tempfile::TempDir, Duration) {
    let place = place();
    let root = place.path().join("target");
    let start = Instant::now();
    let target = TargetFolder::open(&root, Overwrite::Never, TargetOptions { sync }).expect("a target");
    let next = AtomicUsize::new(0);
    let meta = Metadata { mode: 0o644, ..Metadata::default() };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((path, size)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut file = target.file(path, &meta, *size as u64, false).expect("a new file");
                    for piece in content[..*size].chunks(1024 * 1024) {
                        file.write_all(piece).expect("room on the disk");
                    }
                    file.commit().expect("a committed file");
                }
            });
        }
    });
    let restored = target.finish().expect("a finished restore");
    assert_eq!((restored.files, restored.failures.len()), (files.len() as u64, 0));
    (place, start.elapsed())
}

fn folder(criterion: &mut Criterion) {
    let files = files();
    let content: Vec<u8> = (0..1024 * 1024_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let bytes = files.iter().map(|(_, size)| *size as u64).sum();
    let mut group = criterion.benchmark_group("folder");
    group.sample_size(10);

    group.throughput(Throughput::Bytes(bytes));
    for (name, sync) in [("restore", true), ("restore without sync", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| restore(&files, &content, sync).1).sum());
        });
    }

    let (place, _) = restore(&files, &content, false);
    let source = FolderSource::open(&place.path().join("target"), FolderOptions::default()).expect("the source");
    group.bench_function("read", |bencher| {
        let mut listed = Collect::default();
        source.list(&mut listed).expect("a listing");
        let mut buffer = vec![0; 256 * 1024];
        bencher.iter(|| {
            for content in listed.0.iter().filter_map(|item| item.content.as_ref()) {
                let mut body = content.open(0).expect("an open file");
                while body.read(&mut buffer).expect("content") > 0 {}
                assert!(!black_box(body.changed().expect("a look at the file")));
            }
        });
    });

    group.throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("list", |bencher| {
        bencher.iter(|| {
            let mut listed = Collect::default();
            source.list(&mut listed).expect("a listing");
            listed.0.len()
        });
    });
    group.finish();
}

criterion_group!(benches, folder);
criterion_main!(benches);
