//! `tgvault demo`: the whole way once, on sample data, asking nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde::Serialize;

use super::config::origin::{Origin, Setting};
use super::config::profile::{BackupProfile, MachineKey, TelegramProfile};
use super::config::store::StoreSettings;
use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::secrets::SecretSource;
use super::sheet::{self, Sheet};
use super::{backup, init, restore, search, units};
use crate::operations::Session;
use crate::operations::init::{InitOptions, init as run_init};
use crate::state::StateFolder;

const EXAMPLES: &str = "\
Examples:
  tgvault demo
  tgvault demo --from ~/DataExport_2026-11-22 --dir try   # with your own data";

/// Names a file of the sample export with its content.
macro_rules! sample {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../tests/data/sample-export/", $name)) as &[u8])),*]
    };
}

/// The sample export, inside the program: the demo works wherever it was installed.
const SAMPLE: [(&str, &[u8]); 11] = sample![
    "chats/chat_1/files/Bus timetable (summer).pdf",
    "chats/chat_1/photos/photo_1@04-05-2024_08-15-40.jpg",
    "chats/chat_1/photos/photo_2@04-05-2024_08-15-44.jpg",
    "chats/chat_1/stickers/sticker.webp",
    "chats/chat_1/stickers/sticker.webp_thumb.jpg",
    "chats/chat_1/voice_messages/audio_1@04-05-2024_08-22-20.ogg",
    "chats/chat_2/files/budget.png",
    "chats/chat_2/photos/photo_1@21-04-2024_12-00-00.jpg",
    "chats/chat_3/photos/photo_1@11-11-2023_09-30-00.jpg",
    "profile_pictures/photo_1@01-08-2021_10-00-00.jpg",
    "result.json",
];

/// Options of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder to create for the vault, state and passphrase [default: tgvault-demo]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Use this folder instead of the sample export
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

/// Makes a vault in a new folder and backs up the sample into it; of chats it shows what they are good for.
///
/// # Errors
/// When the folder exists, or it cannot be written.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    let dir = make_dir(args.dir.as_deref())?;
    let (vault, state) = (dir.join("vault"), dir.join("state"));
    let (passphrase_file, sheet_file, restored) = (dir.join("passphrase.txt"), dir.join("recovery-sheet.txt"), dir.join("restored"));
    let from = match &args.from {
        Some(from) => from.clone(),
        None => unpack(&dir.join("sample-export"))?,
    };

    let passphrase = init::generate()?;
    let mut file = sheet::create(&passphrase_file)?;
    sheet::write_all(&mut file, &passphrase_file, passphrase.expose_secret().as_bytes())?;
    let session = Session::new(context.storage_at(&vault.to_string_lossy())?, StateFolder::open(state.clone(), None)?);
    let report = run_init(&session, &InitOptions { passphrase: Some(passphrase.clone()), recipients: Vec::new() }).await?;
    let address = session.storage.address().to_owned();
    let sheet = Sheet { address: &address, report: &report, generated: Some(&passphrase), variables: &[] };
    sheet::write_all(&mut sheet::create(&sheet_file)?, &sheet_file, sheet.text().as_bytes())?;
    output.say(&format!("created vault {} in {}", report.repository, vault.display()));
    output.say(&format!("  passphrase: {}, recovery sheet: {}", passphrase_file.display(), sheet_file.display()));

    let inside = inside(context, &vault, &state, &passphrase_file);
    output.say(&format!("backing up {}", from.display()));
    let exit = backup::folder::run(&typed(&[from.as_os_str()])?, &typed(&["--tag", "demo"])?, &inside).await?.exit;
    let is_export = backup::desktop_export::is_export(&from);
    if is_export && args.from.is_none() {
        output.say(&format!("searching the chats for '{WORD}':"));
        search::run(&typed(&[WORD])?, &inside).await?;
    }
    if is_export {
        let pages = dir.join("pages");
        output.say("restoring the chats as web pages:");
        let words = ["latest".as_ref(), "--to".as_ref(), pages.as_os_str(), "--format".as_ref(), "html".as_ref()];
        restore::run(&typed::<restore::Args>(&words)?, &inside).await?;
        if let Some(page) = ["export_results.html", "messages.html"].iter().map(|name| pages.join(name)).find(|page| page.is_file())
            && !output.is_json()
        {
            output.line(&format!("open it in a browser: {}", page.display()))?;
        }
    }

    let mut restore = restore_command(&vault, &state, &passphrase_file, &restored);
    if is_export {
        restore.extend(["--as", "original"].map(str::to_owned));
    }
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "demo", dir: &dir, restore: &restore })?;
    } else {
        let words: Vec<String> = restore.iter().map(|word| units::shell_word(word.as_ref())).collect();
        let what = if is_export { "Restore the export, byte for byte, with" } else { "Restore it with" };
        output.line(&format!("\n{what}:\n  {}", words.join(" ")))?;
    }
    Ok(exit)
}

/// What the demo searches the sample for.
const WORD: &str = "ferry";

/// The demo's own settings in place of the user's.
fn inside(context: &Context, vault: &Path, state: &Path, passphrase: &Path) -> Context {
    let set = |path: &Path| Setting { value: path.to_owned(), origin: Origin::Default };
    let mut settings = context.settings.clone();
    settings.repo = Some(Setting { value: vault.to_string_lossy().into_owned(), origin: Origin::Default });
    settings.state_dir = Some(set(state));
    settings.secret = Some(Setting { value: SecretSource::PassphraseFile(passphrase.to_owned()), origin: Origin::Default });
    settings.machine_key = Setting { value: MachineKey::File, origin: Origin::Default };
    settings.root_key = None;
    settings.keyring = Setting { value: false, origin: Origin::Default };
    (settings.store, settings.vault) = (StoreSettings::default(), None);
    settings.backup = BackupProfile::default();
    settings.telegram = TelegramProfile::default();
    Context {
        settings,
        no_cache: context.no_cache,
        output: context.output.clone(),
        heeded: context.heeded.clone(),
        timings: context.timings,
    }
}

/// The options of a command, as they are typed.
fn typed<A: clap::Args>(words: &[impl AsRef<OsStr>]) -> Result<A, CommandError> {
    let parser = A::augment_args(clap::Command::new("demo").no_binary_name(true));
    let matches = parser.try_get_matches_from(words.iter().map(AsRef::as_ref)).map_err(|error| CommandError::of_parser(&error))?;
    A::from_arg_matches(&matches).map_err(|error| CommandError::of_parser(&error))
}

/// Writes the sample export, which the program carries inside, into a new folder.
fn unpack(folder: &Path) -> Result<PathBuf, CommandError> {
    for (name, bytes) in SAMPLE {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|source| CommandError::file("write", parent, source))?;
        std::fs::write(&path, bytes).map_err(|source| CommandError::file("write", &path, source))?;
    }
    Ok(folder.to_owned())
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
                "choose a folder that does not exist yet",
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
    Err(CommandError::usage("there are too many demo folders here", "use --dir DIR"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_inside_the_program_is_the_one_of_the_source_tree() {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path()).unwrap();
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export");
        assert!(std::process::Command::new("diff").arg("-r").arg(&sample).arg(folder.path()).status().unwrap().success());
    }
}
