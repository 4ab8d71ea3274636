//! `tgvault demo`: the whole way once, on sample data, asking nothing.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde::Serialize;

use super::context::{Context, host_name};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::Reporter;
use super::sheet::{self, Sheet};
use super::{backup, init, units};
use crate::operations::Session;
use crate::operations::backup::{BackupOptions, backup as run_backup};
use crate::operations::init::{InitOptions, init as run_init};
use crate::source::folder::{FolderOptions, FolderSource};
use crate::state::StateFolder;

const EXAMPLES: &str = "\
Examples:
  cargo run --release -- demo                     from the source tree, which ships the sample export
  tgvault demo --from ~/export --dir try          with data of your own";

/// The sample export below the source tree.
const SAMPLE: &str = "tests/data/sample-export";

/// Options of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The new folder for vault, state and passphrase; the default is tgvault-demo, or tgvault-demo-2 and so on
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Back up this folder instead of the sample export
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    dir: &'a Path,
    restore: &'a [String],
}

/// Makes a vault in a new folder and backs up the sample into it.
///
/// # Errors
/// When the sample is not at hand, the folder exists, or it cannot be written.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    let from = args.from.clone().map_or_else(sample, Ok)?;
    let dir = make_dir(args.dir.as_deref())?;
    let (vault, state) = (dir.join("vault"), dir.join("state"));
    let (passphrase_file, sheet_file, restored) = (dir.join("passphrase.txt"), dir.join("recovery-sheet.txt"), dir.join("restored"));

    let passphrase = init::generate()?;
    let mut file = sheet::create(&passphrase_file)?;
    sheet::write_all(&mut file, &passphrase_file, passphrase.expose_secret().as_bytes())?;
    let session = Session::new(context.storage_at(&vault.to_string_lossy())?, StateFolder::open(state.clone(), None)?);
    let report = run_init(&session, &InitOptions { passphrase: Some(passphrase.clone()), recipients: Vec::new() }).await?;
    let address = session.storage.address().to_owned();
    let sheet = Sheet { address: &address, report: &report, generated: Some(&passphrase), chosen: false, recipients: &[] };
    sheet::write_all(&mut sheet::create(&sheet_file)?, &sheet_file, sheet.text().as_bytes())?;
    output.say(&format!("made the vault {} in {}", report.repository, vault.display()));
    output.say(&format!("  its passphrase is in {}, its recovery sheet in {}", passphrase_file.display(), sheet_file.display()));

    let source = FolderSource::open(&from, FolderOptions::default())?;
    output.say(&format!("backing up {}", from.display()));
    let options = BackupOptions { host: host_name()?, tags: vec!["demo".to_owned()], ..BackupOptions::default() };
    let reporter = Arc::new(Reporter::new(output, "saved", "entry"));
    let ended = run_backup(&session, Arc::new(source), options, reporter.clone(), context.heeded.stop()).await;
    reporter.finish();
    let exit = backup::common::conclude(&ended?, false, context)?;

    let restore = restore_command(&vault, &state, &passphrase_file, &restored);
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "demo", dir: &dir, restore: &restore })?;
    } else {
        let words: Vec<String> = restore.iter().map(|word| units::shell_word(word.as_ref())).collect();
        output.line(&format!("Restore it with:\n  {}", words.join(" ")))?;
    }
    Ok(exit)
}

/// The sample that the source tree ships; cargo says where that is to what it runs.
fn sample() -> Result<PathBuf, CommandError> {
    let tree = std::env::var_os("CARGO_MANIFEST_DIR").map(|tree| Path::new(&tree).join(SAMPLE));
    tree.filter(|sample| sample.is_dir()).ok_or_else(|| {
        CommandError::usage(
            "the sample export is not at hand; it is part of the source tree",
            "give --from PATH, or run `cargo run --release -- demo` in the source tree",
        )
    })
}

/// Makes the new folder: nothing that exists is touched.
fn make_dir(wanted: Option<&Path>) -> Result<PathBuf, CommandError> {
    /// Demos that one folder may hold.
    const MOST: u32 = 1000;
    let make = |dir: &Path| std::fs::DirBuilder::new().mode(0o700).create(dir);
    if let Some(dir) = wanted {
        return match make(dir) {
            Ok(()) => Ok(dir.to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(CommandError::usage(
                format!("'{}' exists already", units::printable(&dir.to_string_lossy())),
                "name a folder that does not exist",
            )),
            Err(source) => Err(CommandError::file("make", dir, source)),
        };
    }
    for number in 1..=MOST {
        let dir = PathBuf::from(if number == 1 { "tgvault-demo".to_owned() } else { format!("tgvault-demo-{number}") });
        match make(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CommandError::file("make", &dir, source)),
        }
    }
    Err(CommandError::usage("there are too many demos here", "give --dir DIR"))
}

/// The words of the command that restores the demo, for this very program.
fn restore_command(vault: &Path, state: &Path, passphrase: &Path, restored: &Path) -> Vec<String> {
    let program = std::env::current_exe().map_or_else(|_| OsString::from("tgvault"), |path| nearer(&path).into_os_string());
    let words: [(&str, &Path); 4] = [("--repo", vault), ("--state-dir", state), ("--passphrase-file", passphrase), ("--to", restored)];
    let [repo, state, passphrase, to] = words.map(|(flag, path)| [flag.to_owned(), path.to_string_lossy().into_owned()]);
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend(repo.into_iter().chain(state).chain(passphrase));
    command.extend(["restore".to_owned(), "latest".to_owned()].into_iter().chain(to));
    command
}

/// The path from here, where that is shorter.
fn nearer(path: &Path) -> PathBuf {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or_else(|| path.to_owned())
}
