//! `tgvault drill`: read a sample of the backups back as a new machine would.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::alert::{self, send};
use super::arguments::Select;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::seconds;
use super::secrets;
use super::units;
use super::verify;
use crate::alerts::document::Event;
use crate::model::entry::EntryPath;
use crate::operations::Session;
use crate::operations::drill::{DrillOptions, Drilled, drill};
use crate::state::{CacheUse, StateFolder};

const EXAMPLES: &str = "\
Examples:
  tgvault -i key.txt drill               # asks for the passphrase without -i
  tgvault drill --files 100 --root-key RW…   # as on the recovery sheet";

/// No further file of a source is begun when so much of it has been read.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// The share of the archives that is checked where there is no key, in percent.
const SAMPLE_PERCENT: f64 = 5.0;

/// Options of `drill`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Number of files to read of each source, chosen at random
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub files: u16,

    /// Where there is no key, as on a backup machine: remind those whom the profile names that a drill is due
    #[arg(long)]
    pub alert: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    host: &'a str,
    source: &'a str,
    snapshot: &'a str,
    files: u64,
    bytes: u64,
    failed: Vec<&'a EntryPath>,
    lost: u64,
    whole_bytes: u64,
    whole_seconds: f64,
}

/// A state folder of a machine that knows nothing, which goes away with the drill.
struct Newcomer(PathBuf);

impl Newcomer {
    fn make() -> Result<Self, CommandError> {
        let mut random = [0; 8];
        let failed = |source| CommandError::System { what: "cannot make a folder for the drill", source };
        getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error)))?;
        let path = std::env::temp_dir().join(format!("tgvault-drill-{:016x}", u64::from_le_bytes(random)));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        // Only keys and notes of the drill's own are in it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the drill in every vault that is meant; without a key, stored bytes are checked instead.
///
/// # Errors
/// When no key fits, the store fails, or the drill is interrupted.
pub async fn run(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    let mut worst = Exit::Done;
    for context in contexts {
        worst = worst.worse(in_vault(args, context).await?);
    }
    Ok(worst)
}

async fn in_vault(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let output = &context.output;
    let keys = if secrets::can_ask() { Keys::Needed } else { Keys::IfGiven };
    let known = context.session(keys).await?;
    if known.unlock.is_none() {
        output.warn(
            "no key was given, so nothing can be read back here: checking a sample of the stored bytes instead; run `tgvault drill` with the \
             key once a year, best on another machine",
        );
        if args.alert {
            let document = send::document(Event::DrillDue, 0, Vec::new(), context);
            let mut told = send::send(&document, context).await;
            told.extend(send::hooks(&document, context).await);
            alert::warn_of(&told, context);
        }
        return verify::run(&verify_sample(), context).await;
    }
    let newcomer = Newcomer::make()?;
    let state = StateFolder::open(newcomer.0.clone(), None)?.with_cache(CacheUse::Never);
    let session = Session { unlock: known.unlock, root_key: known.root_key, ..Session::new(known.storage, state) };
    let options = DrillOptions { files: usize::from(args.files), bytes: MOST_BYTES };
    let (drilled, broken) = drill(&session, options, context.heeded.stop_soon()).await?;
    let mut is_sound = broken.is_empty();
    for one in &drilled {
        is_sound &= one.failed.is_empty() && one.lost.is_empty();
        tell(one, context)?;
    }
    broken.iter().for_each(|text| output.warn(text));
    if drilled.is_empty() {
        output.warn("the vault has no snapshots yet");
    }
    Ok(if is_sound { Exit::Done } else { Exit::Integrity })
}

fn verify_sample() -> verify::Args {
    let select = Select { host: None, tags: Vec::new(), source: None };
    verify::Args { snapshots: Vec::new(), quick: false, sample: Some(SAMPLE_PERCENT), deep: false, lanes: None, select }
}

fn tell(one: &Drilled, context: &Context) -> Result<(), CommandError> {
    let output = &context.output;
    if output.is_json() {
        return output.json(&Line {
            message_type: "drilled",
            host: &one.host,
            source: &one.source,
            snapshot: &one.snapshot,
            files: one.files,
            bytes: one.bytes,
            failed: one.failed.iter().map(|(path, _)| path).collect(),
            lost: one.lost.len() as u64,
            whole_bytes: one.whole_bytes,
            whole_seconds: seconds(one.whole),
        });
    }
    for (path, why) in &one.failed {
        output.line(&format!("problem: '{path}': {}", units::printable(why)))?;
    }
    for what in &one.lost {
        output.line(&format!("lost: {}", units::printable(what)))?;
    }
    output.line(&format!(
        "{} on {}: read {} of {}, {}; a whole restore of {} would take about {}",
        units::printable(&one.source),
        units::printable(&one.host),
        units::counted(one.files - one.failed.len() as u64, "file"),
        units::count(one.files),
        units::bytes(one.bytes),
        units::bytes(one.whole_bytes),
        units::duration(one.whole)
    ))
}
