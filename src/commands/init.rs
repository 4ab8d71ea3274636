//! `tgvault init`: make a vault, and print the recovery sheet once.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::secrets::{self, SecretError, SecretSource};
use super::sheet::{self, Sheet};
use super::{keyring, passphrase};
use crate::crypt::keys::{self, Recipients};
use crate::operations::init::{InitOptions, init};

const EXAMPLES: &str = "\
Examples:
  tgvault --repo /mnt/disk/vault init              # suggests a passphrase
  tgvault --repo s3://bucket/vault init -R keys.txt      # for age recipients
  tgvault --repo vault init --generate-passphrase --sheet sheet.txt";

/// How many times a weak passphrase may be replaced by another.
const TRIES: usize = 5;

/// Options of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Let this age recipient (age1…) unlock the vault; may be repeated
    #[arg(short = 'r', long = "recipient", value_name = "RECIPIENT")]
    pub recipients: Vec<String>,

    /// Let the age recipients in this file unlock the vault, one per line; `-` reads standard input
    #[arg(short = 'R', long = "recipients-file", value_name = "FILE")]
    pub recipients_files: Vec<PathBuf>,

    /// Generate a ten-word passphrase without asking; it is printed on the recovery sheet
    #[arg(long)]
    pub generate_passphrase: bool,

    /// Accept a passphrase that is easy to guess
    #[arg(long)]
    pub force_weak_passphrase: bool,

    /// Write the recovery sheet to this new file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    repository: String,
    address: &'a str,
    root_key: &'a str,
    recipient: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<&'a Path>,
}

/// Who will be able to read the vault.
struct Readers {
    passphrase: Option<SecretString>,
    /// Whether the passphrase was made here.
    is_generated: bool,
    recipients: Vec<String>,
}

/// Makes the vault.
///
/// # Errors
/// When nobody could read it, the place is taken, or it cannot be written.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::None).await?;
    let address = session.storage.address().to_owned();
    let readers = readers(args, context, &address)?;
    if readers.is_generated && context.output.is_json() && args.sheet.is_none() {
        return Err(CommandError::usage("a generated passphrase has to be written somewhere", "add --sheet FILE when you use --json"));
    }
    // The sheet's file is made first: a vault without its sheet would be a trap.
    let mut file = args.sheet.as_deref().map(sheet::create).transpose()?;
    let options = InitOptions { passphrase: readers.passphrase.clone(), recipients: readers.recipients.clone() };
    let report = match init(&session, &options).await {
        Ok(report) => report,
        Err(error) => {
            if let Some(path) = &args.sheet {
                // It is empty, and ours.
                let _ = std::fs::remove_file(path);
            }
            return Err(error.into());
        }
    };
    let sheet = Sheet {
        address: &address,
        report: &report,
        generated: readers.passphrase.as_ref().filter(|_| readers.is_generated),
        variables: &context.variables()?,
    };
    if let (Some(file), Some(path)) = (&mut file, &args.sheet) {
        sheet::write_all(file, path, sheet.text().as_bytes())?;
    } else if !context.output.is_json() {
        // The one output that must not be lost in silence.
        context.output.text(&sheet.text()).map_err(|error| match error {
            CommandError::Output(source) => CommandError::System { what: "cannot print the recovery sheet", source },
            other => other,
        })?;
    }
    if context.settings.keyring.value
        && let Some(passphrase) = &readers.passphrase
        && let Err(why) = keyring::keep_passphrase(&address, passphrase)
    {
        context.output.warn(&format!("cannot store the passphrase in the system keyring: {why}"));
    }
    if context.output.is_json() {
        context.output.json(&Summary {
            message_type: "summary",
            command: "init",
            repository: report.repository.to_string(),
            address: &address,
            root_key: report.root_key.as_str(),
            recipient: &report.recipient,
            sheet: args.sheet.as_deref(),
        })?;
    } else {
        context.output.say(&format!("created vault {} at {address}", report.repository));
        if let Some(path) = &args.sheet {
            context.output.say(&format!("recovery sheet: {} (print it and keep it somewhere else)", path.display()));
        }
    }
    Ok(Exit::Done)
}

fn readers(args: &Args, context: &Context, address: &str) -> Result<Readers, CommandError> {
    let mut recipients = args.recipients.clone();
    if !recipients.is_empty() {
        Recipients::parse(recipients.iter().map(String::as_str))?;
    }
    for path in &args.recipients_files {
        recipients.extend(recipients_file(path)?);
    }
    let mut given = None;
    match context.settings.secret.as_ref().map(|secret| &secret.value) {
        // An identity at hand opens the vault later; so the vault is made for it.
        Some(SecretSource::IdentityFile(path)) => {
            let text = secrets::identity_file(path, &mut |text| context.output.warn(&text))?;
            recipients.push(keys::recipient_of(text.expose_secret())?);
        }
        Some(_) => given = context.given_passphrase()?,
        None if recipients.is_empty() && !args.generate_passphrase => given = secrets::systemd_credential()?,
        None => {}
    }
    let (passphrase, is_generated) = match given {
        Some(_) if args.generate_passphrase => {
            return Err(CommandError::usage("--generate-passphrase cannot be combined with a passphrase", "leave out one of the two"));
        }
        Some(given) => {
            check_strength(&given, args.force_weak_passphrase)?;
            (Some(given), false)
        }
        None if args.generate_passphrase => (Some(generate()?), true),
        None if !recipients.is_empty() => (None, false),
        None if secrets::can_ask() => {
            let what = format!("Creating a vault at {}.\n", super::units::printable(address));
            let (chosen, is_generated) = choose(context, &what, args.force_weak_passphrase)?;
            (Some(chosen), is_generated)
        }
        None => return Err(SecretError::NoReader.into()),
    };
    Ok(Readers { passphrase, is_generated, recipients })
}

/// Proposes a new passphrase on the terminal and takes it or another; gives whether it was made here.
///
/// # Errors
/// When there is nobody to ask, or the user gives up.
pub(super) fn choose(context: &Context, what_for: &str, is_forced: bool) -> Result<(SecretString, bool), CommandError> {
    let proposed = generate()?;
    context.output.tell(&format!(
        "{what_for}Suggested passphrase (write it down; it is also printed on the recovery sheet):\n\n    {}\n\n",
        proposed.expose_secret()
    ));
    for _ in 0..TRIES {
        let Some(chosen) = secrets::ask_or_nothing("Press Enter to accept it, or type your own (hidden): ")? else {
            return Ok((proposed, true));
        };
        match check_strength(&chosen, is_forced) {
            Ok(()) => {
                secrets::ask_again(&chosen)?;
                return Ok((chosen, false));
            }
            Err(error) => context.output.warn(&error.to_string()),
        }
    }
    Err(SecretError::Interrupted.into())
}

/// Refuses a passphrase that is easy to guess, unless `is_forced`, or that holds what nobody sees.
///
/// # Errors
/// When it is refused.
pub(super) fn check_strength(passphrase: &SecretString, is_forced: bool) -> Result<(), CommandError> {
    if let Some(what) = passphrase::invisible(passphrase) {
        return Err(CommandError::usage(
            format!("the passphrase {what}, which nobody sees and which is easily lost when it is typed or copied"),
            "leave that out, and give the passphrase again",
        ));
    }
    let bits = passphrase::strength_bits(passphrase);
    if bits < passphrase::LEAST_BITS && !is_forced { Err(CommandError::WeakPassphrase { bits }) } else { Ok(()) }
}

/// Makes a passphrase.
///
/// # Errors
/// When the system gives no randomness.
pub(super) fn generate() -> Result<SecretString, CommandError> {
    passphrase::generate().map_err(|error| CommandError::System { what: "cannot get random numbers from the system", source: error.into() })
}

/// The recipients in a file, one to a line; `-` is standard input.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub(super) fn recipients_file(path: &Path) -> Result<Vec<String>, CommandError> {
    let text = read_text(path)?;
    Ok(Recipients::parse(text.lines())?.names().map(str::to_owned).collect())
}

fn read_text(path: &Path) -> Result<String, CommandError> {
    let failed = |source| CommandError::file("read", path, source);
    let secret = if path == Path::new("-") {
        keys::read_key_file(std::io::stdin().lock())
    } else {
        keys::read_key_file(std::fs::File::open(path).map_err(failed)?)
    };
    Ok(secret?.expose_secret().to_owned())
}
