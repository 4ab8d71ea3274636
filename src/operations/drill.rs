//! A drill: read a random sample of every source as a machine would that has nothing but the key, compare it, and say how long all of it
//! would take. Nothing of the content is written anywhere.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::OperationError;
use super::session::Session;
use super::snapshot::OpenSnapshot;
use super::snapshot::choice::SnapshotChoice;
use super::status::vault::{self, Newest};
use super::stop::Stop;
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind};
use crate::repository::tree::TreeEntry;

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub struct DrillOptions {
    /// Files of each source, chosen at random.
    pub files: usize,
    /// No further file is begun when so much of a source has been read.
    pub bytes: u64,
}

/// How one source came back.
#[derive(Clone, Debug)]
pub struct Drilled {
    /// The machine that made the snapshot.
    pub host: String,
    /// The source.
    pub source: String,
    /// The snapshot.
    pub snapshot: String,
    /// Files that were read and compared.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files that did not come back as they were stored, with the reason.
    pub failed: Vec<(EntryPath, String)>,
    /// What is known to be lost of the snapshot, in words.
    pub lost: Vec<String>,
    /// Bytes of all its files.
    pub whole_bytes: u64,
    /// How long a restore of all of it would take on this machine and line, by this sample.
    pub whole: Duration,
}

/// Reads a sample of the newest complete snapshot of every source on every machine; also gives what is wrong with other snapshots.
///
/// # Errors
/// When no key fits, the store fails, or the drill is stopped.
pub async fn drill(session: &Session, options: DrillOptions, stop: Stop) -> Result<(Vec<Drilled>, Vec<String>), OperationError> {
    let (newest, broken) = vault::machines(session).await?;
    // Unlocked once for all: a passphrase takes its time.
    let repository = session.open().await?;
    let mut drilled = Vec::new();
    for Newest { snapshot, .. } in newest {
        if stop.is_wanted() {
            return Err(OperationError::Interrupted);
        }
        let began = Instant::now();
        let opened = OpenSnapshot::open_in(&repository, &SnapshotChoice::of(&snapshot)).await?;
        let opening = began.elapsed();
        let numbers = random_numbers(session, options.files)?;
        let one = tokio::task::spawn_blocking(move || sample(&opened, options, &numbers, opening));
        drilled.push(one.await?);
    }
    Ok((drilled, broken))
}

fn random_numbers(session: &Session, count: usize) -> Result<Vec<u128>, OperationError> {
    (0..count).map(|_| Ok(u128::from_le_bytes(session.machine.id()?.0))).collect()
}

fn sample(opened: &OpenSnapshot, options: DrillOptions, numbers: &[u128], opening: Duration) -> Drilled {
    let is_file = |entry: &TreeEntry| matches!(entry.kind, Kind::File);
    let (mut files, mut whole_bytes) = (0, 0);
    for (_, entry) in opened.tree().iter().filter(|(_, entry)| is_file(entry)) {
        files += 1;
        whole_bytes += entry.size;
    }
    let chosen: BTreeSet<usize> = numbers.iter().filter_map(|number| usize::try_from(number.checked_rem(files)?).ok()).collect();
    let named = opened.tree().iter().filter(|(_, entry)| is_file(entry)).enumerate();
    let chosen: Vec<EntryPath> = named.filter(|(index, _)| chosen.contains(index)).map(|(_, (path, _))| path).collect();
    let (mut read, mut count, mut failed) = (0, 0, Vec::new());
    let began = Instant::now();
    for path in &chosen {
        if read >= options.bytes {
            break;
        }
        // The content is compared with its SHA-256 on the way, and goes nowhere.
        let streamed = opened.stream(path, &mut |piece| {
            read += piece.len() as u64;
            Ok(())
        });
        count += 1;
        if let Err(error) = streamed {
            failed.push((path.clone(), with_causes(&error)));
        }
    }
    let per_byte = if read == 0 { 0.0 } else { began.elapsed().as_secs_f64() / read as f64 };
    let snapshot = opened.snapshot();
    Drilled {
        host: snapshot.host.clone(),
        source: snapshot.source.to_string(),
        snapshot: snapshot.id.to_string(),
        files: count,
        bytes: read,
        failed,
        lost: opened.lost().to_vec(),
        whole_bytes,
        whole: opening + Duration::from_secs_f64(per_byte * whole_bytes as f64),
    }
}
