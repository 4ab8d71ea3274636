//! `key export-writer`, `key import-writer`: a machine that can write to the vault and read nothing of it.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::secrets;
use crate::commands::sheet;
use crate::commands::units::short_id;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::operations::Session;
use crate::operations::keys::{WriterPass, export_writer, import_writer};

/// The version of the file.
const VERSION: u32 = 1;

/// The file.
#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    /// Where the vault is, without credentials.
    vault: String,
    id: Id,
    root_key: VerifyingKey,
    recipient: String,
    writer: Id,
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    signing_key: SecretString,
}

fn expose<S: serde::Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn conceal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    writer: String,
    file: &'a Path,
}

/// Authorises another machine.
///
/// # Errors
/// When the vault cannot be unlocked, the file exists or cannot be written, or the store fails.
pub async fn export(to: &Path, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let mut file = sheet::create(to)?;
    let pass = match export_writer(&session).await {
        Ok(pass) => pass,
        Err(error) => {
            // It is empty, and ours.
            let _ = std::fs::remove_file(to);
            return Err(error.into());
        }
    };
    let address = session.storage.address().to_owned();
    let written = File {
        version: VERSION,
        vault: address.clone(),
        id: pass.repository,
        root_key: pass.root_key,
        recipient: pass.recipient,
        writer: pass.writer,
        signing_key: pass.key.secret_line().clone(),
    };
    let text = toml::to_string(&written).map(Zeroizing::new);
    let text = text.map_err(|error| CommandError::file("write", to, std::io::Error::other(error)))?;
    let head = "# Lets a machine write to a tgvault vault. It cannot read the vault. Keep it secret: whoever has it can add backups.\n";
    let whole = Zeroizing::new([head, text.as_str()].concat());
    sheet::write_all(&mut file, to, whole.as_bytes())?;
    let (id, output) = (pass.writer.to_string(), &context.output);
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "key export-writer", writer: id, file: to })?;
        return Ok(Exit::Done);
    }
    output.say(&format!("authorised writer {}: {}", short_id(&id), to.display()));
    output.say("move the file to that machine, run `tgvault key import-writer FILE` there, and delete it");
    Ok(Exit::Done)
}

/// Sets up this machine.
///
/// # Errors
/// When the file cannot be read or is none, or the store has another vault, root key or recipient than it says.
pub async fn import(from: &Path, context: &Context) -> Result<Exit, CommandError> {
    let unusable =
        |why: String| CommandError::usage(format!("{}: {why}", from.display()), "export it again with `tgvault key export-writer`");
    let text = secrets::private_file("writer file", from, &mut |text| context.output.warn(&text))?;
    let file: File =
        toml::from_str(text.expose_secret()).map_err(|error| unusable(format!("this is no writer file: {}", error.message())))?;
    if file.version != VERSION {
        return Err(unusable(format!("it has version {}, and this tgvault reads {VERSION}", file.version)));
    }
    let key = SigningKey::parse(file.signing_key.expose_secret()).map_err(|_| unusable("its signing key cannot be used".into()))?;
    let storage = match &context.settings.repo {
        Some(_) => context.storage()?,
        None => context.storage_at(&file.vault)?,
    };
    let session = Session::new(storage, context.state()?);
    let File { id, root_key, recipient, writer, .. } = file;
    import_writer(&session, &WriterPass { repository: id, root_key, recipient, writer, key }).await?;
    let (id, output) = (writer.to_string(), &context.output);
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "key import-writer", writer: id, file: from })?;
        return Ok(Exit::Done);
    }
    output.say(&format!("this machine can now back up to {} as writer {}", session.storage.address(), short_id(&id)));
    output.say(&format!("delete {}: it is no longer needed", from.display()));
    Ok(Exit::Done)
}
