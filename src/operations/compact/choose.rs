//! Which archives are worth to be written again.

use std::collections::HashMap;

use super::CompactOptions;
use super::gather::{Archive, Chosen, Gathered};
use crate::operations::OperationError;
use crate::repository::RepositoryError;

/// Chooses among the runs of archives that follow each other in exactly the same snapshots.
///
/// # Errors
/// When something is to be taken out of archives that snapshots name in different places.
pub(super) fn choose(gathered: &Gathered, options: &CompactOptions) -> Result<Vec<Chosen>, OperationError> {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); gathered.archives.len()];
    for (at, kept) in (0..).zip(&gathered.snapshots) {
        for archive in &kept.archives {
            if let Some(members) = members.get_mut(*archive as usize) {
                members.push(at);
            }
        }
    }
    let mut classes: HashMap<&[u32], u32> = HashMap::new();
    let class: Vec<u32> = members
        .iter()
        .map(|members| {
            let next = classes.len() as u32;
            *classes.entry(members.as_slice()).or_insert(next)
        })
        .collect();
    let of = |archive: u32| class.get(archive as usize).copied();
    let (mut chosen, mut left) = (Vec::new(), options.max_repack.unwrap_or(u64::MAX));
    for (at, kept) in gathered.snapshots.iter().enumerate() {
        let mut from = 0;
        while let Some(&first) = kept.archives.get(from) {
            let length = kept.archives.iter().skip(from).take_while(|archive| of(**archive) == of(first)).count();
            let run = Chosen { snapshot: at, from, to: from + length, shown: from + length };
            from = run.to;
            let snapshots = members.get(first as usize).map(Vec::as_slice).unwrap_or_default();
            // Each run once, by the first snapshot that names it.
            if snapshots.first().is_none_or(|first| *first as usize != at) {
                continue;
            }
            // What a run makes of the state is the same only where the same stands before it.
            let hash = |at: usize| gathered.snapshots.get(at).and_then(|kept| kept.hashes.get(run.to)).copied();
            let is_same = snapshots.iter().all(|other| hash(*other as usize) == hash(at));
            for part in parts(gathered, &run, options) {
                let archives: Vec<&Archive> = gathered.archives_in(&part).collect();
                if !is_worth_it(&archives, options) {
                    continue;
                }
                if !is_same {
                    if options.exclude.is_some() {
                        let object = archives.first().map(|archive| archive.record.object.as_str()).unwrap_or_default();
                        let why = format!("snapshots name '{object}' behind different archives; forget the older of them first");
                        return Err(RepositoryError::Unsafe { why }.into());
                    }
                    continue;
                }
                let bytes: u64 = archives.iter().map(|archive| archive.record.length).sum();
                if options.exclude.is_none() && bytes > left {
                    continue;
                }
                left = left.saturating_sub(bytes);
                chosen.push(part);
            }
        }
    }
    Ok(chosen)
}

fn unused_percent(archives: &[&Archive]) -> f64 {
    let all: u64 = archives.iter().map(|archive| archive.content_bytes).sum();
    let used: u64 = archives.iter().map(|archive| archive.used_bytes()).sum();
    if all == 0 { 0.0 } else { all.saturating_sub(used) as f64 * 100.0 / all as f64 }
}

/// Cuts a run at archives that stay as they are: long ones of which most is shown, or that do not speak of what is taken out.
fn parts(gathered: &Gathered, run: &Chosen, options: &CompactOptions) -> Vec<Chosen> {
    let stays = |archive: &Archive| match options.exclude {
        Some(_) => !archive.speaks,
        None => archive.record.length >= options.small_bytes && unused_percent(&[archive]) <= options.max_unused_percent,
    };
    let mut parts = Vec::new();
    let mut from = run.from;
    for (at, archive) in (run.from..).zip(gathered.archives_in(run)) {
        if stays(archive) {
            parts.push(Chosen { from, to: at, ..run.clone() });
            from = at + 1;
        }
    }
    parts.push(Chosen { from, ..run.clone() });
    parts.retain(|part| part.from < part.to);
    parts
}

fn is_worth_it(archives: &[&Archive], options: &CompactOptions) -> bool {
    if options.exclude.is_some() {
        return archives.iter().any(|archive| archive.speaks);
    }
    let small = archives.iter().filter(|archive| archive.record.length < options.small_bytes).count();
    small > 1 || unused_percent(archives) > options.max_unused_percent
}
