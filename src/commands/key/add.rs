//! `key add`, `key passwd`, `key remove`: who can read the vault.

use secrecy::SecretString;
use serde::Serialize;

use super::list::kind;
use super::{AddArgs, NewPassphrase};
use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::secrets::{self, SecretError};
use crate::commands::sheet::{self, Sheet};
use crate::commands::units::short_id;
use crate::commands::{init, keyring};
use crate::operations::Session;
use crate::operations::keys::{self, Changed, NewKey, Removed};
use crate::repository::format::root::Slot;

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'a str,
    added: Vec<String>,
    removed: Vec<String>,
}

/// A new passphrase.
struct Chosen {
    passphrase: SecretString,
    /// Whether it was made here, so that nobody knows it yet.
    is_generated: bool,
}

/// Lets others open the vault.
///
/// # Errors
/// When the vault cannot be unlocked, the new key cannot be used, or the store fails.
pub async fn add(args: &AddArgs, context: &Context) -> Result<Exit, CommandError> {
    let mut new: Vec<NewKey> = args.recipients.iter().cloned().map(NewKey::Recipient).collect();
    for path in &args.recipients_files {
        new.extend(init::recipients_file(path)?.into_iter().map(NewKey::Recipient));
    }
    let options = &args.passphrase;
    let wants_passphrase = new.is_empty() || options.generate_passphrase || options.new_passphrase_file.is_some();
    let session = context.session(Keys::Needed).await?;
    let chosen = if wants_passphrase { Some(choose(options, context)?) } else { None };
    new.extend(chosen.as_ref().map(|chosen| NewKey::Passphrase(chosen.passphrase.clone())));
    let printed = Printed::begin(options, context, chosen.as_ref())?;
    let changed = match keys::add(&session, &new).await {
        Ok(changed) => changed,
        Err(error) => return Err(printed.discard(error.into())),
    };
    printed.finish(&session, context, &changed, chosen.as_ref())?;
    if changed.added.is_empty() {
        context.output.say("these keys open the vault already");
    }
    tell(context, "key add", &changed.added, None)
}

/// Changes the passphrase.
///
/// # Errors
/// As [`add`]; when it is not clear which passphrase is meant.
pub async fn passwd(options: &NewPassphrase, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let chosen = choose(options, context)?;
    let printed = Printed::begin(options, context, Some(&chosen))?;
    let changed = match keys::replace_passphrase(&session, chosen.passphrase.clone()).await {
        Ok(changed) => changed,
        Err(error) => return Err(printed.discard(error.into())),
    };
    printed.finish(&session, context, &changed, Some(&chosen))?;
    if context.settings.keyring.value
        && let Err(why) = keyring::keep_passphrase(session.storage.address(), &chosen.passphrase)
    {
        context.output.warn(&format!("cannot store the passphrase in the system keyring: {why}"));
    }
    tell(context, "key passwd", &changed.added, changed.removed.as_ref())
}

/// Removes a key.
///
/// # Errors
/// When the vault cannot be unlocked, the key is not there or the last one, or the store fails.
pub async fn remove(key: &str, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let removed = keys::remove(&session, key).await?;
    tell(context, "key remove", &[], Some(&removed))
}

fn tell(context: &Context, command: &str, added: &[Slot], removed: Option<&Removed>) -> Result<Exit, CommandError> {
    let output = &context.output;
    if output.is_json() {
        let ids = |slots: &[&Slot]| slots.iter().map(|slot| slot.id.to_string()).collect();
        let removed: Vec<&Slot> = removed.iter().map(|removed| &removed.slot).collect();
        let summary = Summary { message_type: "summary", command, added: ids(&added.iter().collect::<Vec<_>>()), removed: ids(&removed) };
        output.json(&summary)?;
    }
    for slot in added {
        output.say(&format!("added key {} ({})", short_id(&slot.id.to_string()), kind(&slot.kind)));
    }
    if let Some(Removed { slot, kept }) = removed {
        output.say(&format!("removed key {} ({})", short_id(&slot.id.to_string()), kind(&slot.kind)));
        if let Some(why) = kept {
            output.warn(&format!(
                "tgvault no longer accepts it, but its object is still in the store, where age can open it with the old key: {why}"
            ));
        }
        output.say(
            "whoever copied the vault's identity with it can still read the vault; `tgvault key rotate` ends that for what is stored later",
        );
    }
    Ok(Exit::Done)
}

/// Where the new passphrase comes from: a file, here, or the terminal.
fn choose(options: &NewPassphrase, context: &Context) -> Result<Chosen, CommandError> {
    if let Some(path) = &options.new_passphrase_file {
        let passphrase = secrets::passphrase_file(path, &mut |text| context.output.warn(&text))?;
        init::check_strength(&passphrase, options.force_weak_passphrase)?;
        return Ok(Chosen { passphrase, is_generated: false });
    }
    if options.generate_passphrase {
        if context.output.is_json() && options.sheet.is_none() {
            return Err(CommandError::usage("a generated passphrase has to be written somewhere", "add --sheet FILE when you use --json"));
        }
        return Ok(Chosen { passphrase: init::generate()?, is_generated: true });
    }
    if !secrets::can_ask() {
        return Err(SecretError::NobodyToAsk.into());
    }
    let (passphrase, is_generated) = init::choose(context, "", options.force_weak_passphrase)?;
    Ok(Chosen { passphrase, is_generated })
}

/// The sheet on its way: its file is made before anything changes, because a passphrase that nobody has would be a trap.
struct Printed<'a> {
    file: Option<(std::fs::File, &'a std::path::Path)>,
    is_wanted: bool,
}

impl<'a> Printed<'a> {
    fn begin(options: &'a NewPassphrase, context: &Context, chosen: Option<&Chosen>) -> Result<Self, CommandError> {
        let file = match options.sheet.as_deref() {
            Some(path) => Some((sheet::create(path)?, path)),
            None => None,
        };
        let is_wanted = file.is_some() || (chosen.is_some_and(|chosen| chosen.is_generated) && !context.output.is_json());
        Ok(Self { file, is_wanted })
    }

    /// Takes the file away again; it is empty, and ours.
    fn discard(self, error: CommandError) -> CommandError {
        if let Some((_, path)) = self.file {
            let _ = std::fs::remove_file(path);
        }
        error
    }

    fn finish(self, session: &Session, context: &Context, changed: &Changed, chosen: Option<&Chosen>) -> Result<(), CommandError> {
        if !self.is_wanted {
            return Ok(());
        }
        let generated = chosen.filter(|chosen| chosen.is_generated).map(|chosen| &chosen.passphrase);
        let variables = context.variables()?;
        let sheet = Sheet { address: session.storage.address(), report: &changed.sheet, generated, variables: &variables };
        match self.file {
            Some((mut file, path)) => sheet::write_all(&mut file, path, sheet.text().as_bytes()),
            None => context.output.text(&sheet.text()),
        }
    }
}
