//! Where secrets come from: never an argument, never a plain variable.
//!
//! Identity files and passphrases are read as [`SecretString`]s; what holds them on the way is wiped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::crypt::CryptError;
use crate::crypt::keys::read_key_file;

/// The longest passphrase line that is read, in bytes.
const MAX_PASSPHRASE_BYTES: usize = 4096;

/// The variable that would put the passphrase where other processes and logs can see it.
pub const REFUSED_VARIABLE: &str = "TGVAULT_PASSPHRASE";

/// The name of the systemd credential (`LoadCredential=tgvault-passphrase:…`).
const CREDENTIAL: &str = "tgvault-passphrase";

/// Why no secret could be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A passphrase stands in a plain variable.
    #[error("{REFUSED_VARIABLE} is set, but other programs, logs and crash reports can reveal a passphrase in the environment")]
    PlainVariable,
    /// Two sources of one rank.
    #[error("two ways to unlock were given: {first} and {second}")]
    TwoSources {
        /// The name of one.
        first: &'static str,
        /// The name of the other.
        second: &'static str,
    },
    /// Nothing was given, and nobody can be asked.
    #[error("no passphrase or identity was given, and there is no terminal to ask on")]
    NobodyToAsk,
    /// A new vault needs somebody who can read it.
    #[error("nobody could read this vault: no passphrase or recipient was given, and there is no terminal to ask on")]
    NoReader,
    /// A file cannot be read.
    #[error("cannot read the {what} from {from}")]
    Unreadable {
        /// `identity` or `passphrase`.
        what: &'static str,
        /// File, descriptor or standard input.
        from: String,
        /// The system's word.
        source: io::Error,
    },
    /// An identity file is too long or no text.
    #[error("cannot read the identity from {from}")]
    Identity {
        /// File or standard input.
        from: String,
        /// What is wrong with it.
        source: CryptError,
    },
    /// There is no secret in the first line, or it is no text or too long.
    #[error("no {secret} in {from}: the first line is {what}")]
    Line {
        /// `passphrase`, `code`, `password`, `token`.
        secret: &'static str,
        /// Where it was looked for.
        from: String,
        /// `empty`, `too long`, `not UTF-8`.
        what: &'static str,
    },
    /// A file of settings is no text, or too long for one.
    #[error("cannot use the {secret} in {from}: the file is {what}")]
    Unusable {
        /// What was to be read.
        secret: &'static str,
        /// The file, quoted.
        from: String,
        /// `too long`, `not UTF-8`.
        what: &'static str,
    },
    /// The command for a secret failed.
    #[error("the {secret} command failed with {status}")]
    Command {
        /// `passphrase`, `code`, `password`, `token`.
        secret: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// The two entries at `init` differ.
    #[error("the two passphrases do not match")]
    Differ,
    /// The user interrupted a question.
    #[error("interrupted")]
    Interrupted,
    /// The terminal failed.
    #[error("cannot ask on the terminal")]
    Terminal(#[source] io::Error),
    /// The keyring does not give the key that this machine's state is sealed with.
    #[error("cannot read this machine's key from the system keyring: {0}")]
    MachineKey(String),
}

impl SecretError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::PlainVariable => {
                "unset it; use TGVAULT_PASSPHRASE_FILE, TGVAULT_PASSPHRASE_COMMAND, TGVAULT_PASSPHRASE_FD, a systemd credential or the prompt"
            }
            Self::TwoSources { .. } => "keep one of them",
            Self::NobodyToAsk => {
                "use -i FILE, --passphrase-file FILE, --passphrase-command COMMAND or --passphrase-fd N, or run the command in a terminal"
            }
            Self::NoReader => {
                "use -r RECIPIENT, --generate-passphrase with --sheet FILE, or --passphrase-file FILE, or run the command in a terminal"
            }
            Self::MachineKey(_) => "unlock the keyring, or keep the key in a file with `machine-key = \"file\"` in the profile",
            _ => return None,
        })
    }
}

/// One way to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An age identity file, `-` being standard input.
    IdentityFile(PathBuf),
    /// The first line of a file.
    PassphraseFile(PathBuf),
    /// The first line that `sh -c` prints.
    PassphraseCommand(std::ffi::OsString),
    /// The first line of an open descriptor.
    PassphraseFd(u32),
}

impl SecretSource {
    /// The long name of the option.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IdentityFile(_) => "identity",
            Self::PassphraseFile(_) => "passphrase-file",
            Self::PassphraseCommand(_) => "passphrase-command",
            Self::PassphraseFd(_) => "passphrase-fd",
        }
    }
}

/// Refuses a passphrase in a plain variable.
///
/// # Errors
/// [`SecretError::PlainVariable`].
pub fn refuse_plain_variable() -> Result<(), SecretError> {
    if std::env::var_os(REFUSED_VARIABLE).is_some() { Err(SecretError::PlainVariable) } else { Ok(()) }
}

/// Reads an identity file; `warn` hears of a file that others can read.
///
/// # Errors
/// When it cannot be read, is longer than 16 MiB or no text.
pub fn identity_file(path: &Path, warn: &mut dyn FnMut(String)) -> Result<SecretString, SecretError> {
    let (from, input): (String, Box<dyn Read>) = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(SecretError::NobodyToAsk);
        }
        ("standard input".to_owned(), Box::new(io::stdin().lock()))
    } else {
        (shown(path), Box::new(open("identity", path, warn)?))
    };
    read_key_file(input).map_err(|source| match source {
        CryptError::Io(source) => SecretError::Unreadable { what: "identity", from, source },
        source => SecretError::Identity { from, source },
    })
}

/// Reads a whole file that holds secrets; `warn` hears of one that others can read.
///
/// # Errors
/// When it cannot be read, is longer than 16 MiB or no text.
pub fn private_file(what: &'static str, path: &Path, warn: &mut dyn FnMut(String)) -> Result<SecretString, SecretError> {
    read_key_file(open(what, path, warn)?).map_err(|source| match source {
        CryptError::Io(source) => SecretError::Unreadable { what, from: shown(path), source },
        source => SecretError::Identity { from: shown(path), source },
    })
}

/// Reads the passphrase in the first line of a file; `warn` hears of a file that others can read.
///
/// # Errors
/// When it cannot be read or the line is empty, too long or no text.
pub fn passphrase_file(path: &Path, warn: &mut dyn FnMut(String)) -> Result<SecretString, SecretError> {
    file_line("passphrase", path, warn)
}

/// Reads any other secret in the first line of a file, as [`passphrase_file`] does.
///
/// # Errors
/// As there.
pub fn file_line(secret: &'static str, path: &Path, warn: &mut dyn FnMut(String)) -> Result<SecretString, SecretError> {
    first_line(&mut open(secret, path, warn)?, secret, &shown(path))
}

/// Reads a small file of settings that holds secrets, such as credentials, whole; `warn` hears of a file that others can read.
///
/// # Errors
/// When it cannot be read, is longer than 64 KiB, or no text.
pub fn text_file(secret: &'static str, path: &Path, warn: &mut dyn FnMut(String)) -> Result<SecretString, SecretError> {
    const MAX_BYTES: usize = 64 * 1024;
    let failed = |what| SecretError::Unusable { secret, from: shown(path), what };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let read = open(secret, path, warn)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| SecretError::Unreadable { what: secret, from: shown(path), source })?;
    if bytes.len() > MAX_BYTES {
        return Err(failed("too long"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("not UTF-8"))?;
    Ok(SecretString::from(text))
}

/// Reads a secret in the next line of standard input.
///
/// # Errors
/// As [`file_line`].
pub fn input_line(secret: &'static str) -> Result<SecretString, SecretError> {
    first_line(&mut io::stdin().lock(), secret, "standard input")
}

/// Reads the passphrase from an open descriptor, up to the end of its first line.
///
/// # Errors
/// As [`passphrase_file`].
pub fn passphrase_fd(number: u32) -> Result<SecretString, SecretError> {
    let from = format!("file descriptor {number}");
    // The name opens the same pipe or file once more: it needs no ownership of the descriptor itself.
    let mut file = File::open(format!("/dev/fd/{number}")).map_err(|source| SecretError::Unreadable {
        what: "passphrase",
        from: from.clone(),
        source,
    })?;
    first_line(&mut file, "passphrase", &from)
}

/// Runs a command through `sh -c` and takes the first line that it prints; its errors go to the terminal.
///
/// # Errors
/// When it cannot be run, fails, or prints no passphrase.
pub fn passphrase_command(command: &OsStr) -> Result<SecretString, SecretError> {
    command_line("passphrase", command)
}

/// Gets any other secret from a command, as [`passphrase_command`] does.
///
/// # Errors
/// As there.
pub fn command_line(secret: &'static str, command: &OsStr) -> Result<SecretString, SecretError> {
    let from = format!("the {secret} command");
    let unreadable = |source| SecretError::Unreadable { what: secret, from: from.clone(), source };
    let mut child = Command::new("sh").arg("-c").arg(command).stdout(Stdio::piped()).spawn().map_err(unreadable)?;
    let line = child.stdout.take().map(|mut output| {
        let line = first_line(&mut output, secret, &from);
        // What else it prints is read and dropped, so that it does not fail on a closed pipe.
        let drained = io::copy(&mut output, &mut io::sink());
        drained.map_err(unreadable).and(line)
    });
    let status = child.wait().map_err(unreadable)?;
    if !status.success() {
        return Err(SecretError::Command { secret, status });
    }
    line.unwrap_or_else(|| Err(SecretError::Line { secret, from: from.clone(), what: "empty" }))
}

/// The passphrase that systemd hands to a service, if there is one.
///
/// # Errors
/// When it is there and cannot be read.
pub fn systemd_credential() -> Result<Option<SecretString>, SecretError> {
    let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    let path = Path::new(&folder).join(CREDENTIAL);
    match path.try_exists() {
        Ok(false) => Ok(None),
        // systemd sets the modes; others may read where it says so.
        _ => passphrase_file(&path, &mut |_| {}).map(Some),
    }
}

/// Whether somebody can be asked: standard input and error are a terminal.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a passphrase without echo.
///
/// # Errors
/// When there is no terminal, the user interrupts, or nothing is entered.
pub fn ask(prompt: &str) -> Result<SecretString, SecretError> {
    ask_or_nothing(prompt)?.ok_or_else(|| SecretError::Line { secret: "passphrase", from: "the prompt".to_owned(), what: "empty" })
}

/// Asks for a passphrase without echo; `None` when only Enter was typed.
///
/// # Errors
/// When there is no terminal, or the user interrupts.
pub fn ask_or_nothing(prompt: &str) -> Result<Option<SecretString>, SecretError> {
    if !can_ask() {
        return Err(SecretError::NobodyToAsk);
    }
    let entered = Zeroizing::new(rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => SecretError::Interrupted,
        _ => SecretError::Terminal(error),
    })?);
    Ok(if entered.is_empty() { None } else { Some(SecretString::from(entered.as_str())) })
}

/// Asks for the same passphrase once more.
///
/// # Errors
/// As [`ask`], and when the two differ.
pub fn ask_again(first: &SecretString) -> Result<(), SecretError> {
    let second = ask("Repeat the passphrase: ")?;
    if first.expose_secret() == second.expose_secret() { Ok(()) } else { Err(SecretError::Differ) }
}

fn shown(path: &Path) -> String {
    format!("'{}'", super::units::printable(&path.to_string_lossy()))
}

fn open(what: &'static str, path: &Path, warn: &mut dyn FnMut(String)) -> Result<File, SecretError> {
    let unreadable = |source| SecretError::Unreadable { what, from: shown(path), source };
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if meta.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if meta.is_file() && meta.mode() & 0o077 != 0 {
        warn(format!("other users can read {} (mode {:04o}); run chmod 600 on it", shown(path), meta.mode() & 0o7777));
    }
    Ok(file)
}

/// Reads up to the first line break, one byte at a time: a pipe may stay open behind the line.
fn first_line(input: &mut dyn Read, secret: &'static str, from: &str) -> Result<SecretString, SecretError> {
    let failed = |what| SecretError::Line { secret, from: from.to_owned(), what };
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_BYTES));
    let mut byte = Zeroizing::new([0_u8; 1]);
    loop {
        match input.read(byte.as_mut()) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == MAX_PASSPHRASE_BYTES => return Err(failed("too long")),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(SecretError::Unreadable { what: secret, from: from.to_owned(), source }),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| failed("not UTF-8"))?;
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(failed("empty")) } else { Ok(SecretString::from(text)) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file_of(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn passphrase(content: &[u8]) -> Result<String, SecretError> {
        let file = file_of(content, 0o600);
        passphrase_file(file.path(), &mut |_| {}).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn the_first_line_is_the_passphrase() {
        assert_eq!(passphrase(b"two words\n").unwrap(), "two words");
        assert_eq!(passphrase(b" spaces stay \r\nsecond\n").unwrap(), " spaces stay ");
        assert_eq!(passphrase(b"no end").unwrap(), "no end");
        for (bad, what) in [(&b""[..], "empty"), (b"\nsecond", "empty"), (b"\xff\n", "not UTF-8"), (&[b'a'; 5000], "too long")] {
            assert!(passphrase(bad).unwrap_err().to_string().ends_with(what));
        }
    }

    #[test]
    fn files_that_others_can_read_are_warned_of() {
        for (mode, warnings) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
            let file = file_of(b"x", mode);
            let mut heard = Vec::new();
            passphrase_file(file.path(), &mut |text| heard.push(text)).unwrap();
            assert_eq!(heard.len(), warnings, "{mode:o}");
        }
    }

    #[test]
    fn a_command_gives_its_first_line_and_must_succeed() {
        let run = |command: &str| passphrase_command(OsStr::new(command)).map(|secret| secret.expose_secret().to_owned());
        assert_eq!(run("echo a b; echo c").unwrap(), "a b");
        assert_eq!(run("echo first; seq 100000").unwrap(), "first");
        assert!(matches!(run("echo x; exit 3"), Err(SecretError::Command { .. })));
        assert!(matches!(run("true"), Err(SecretError::Line { what: "empty", .. })));
    }

    #[test]
    fn identities_are_bounded_and_text() {
        let long = file_of(&vec![b'#'; 16 * 1024 * 1024 + 1], 0o600);
        assert!(matches!(identity_file(long.path(), &mut |_| {}), Err(SecretError::Identity { .. })));
        let binary = file_of(b"\xff\xfe", 0o600);
        assert!(identity_file(binary.path(), &mut |_| {}).is_err());
        assert!(matches!(identity_file(Path::new("/nonexistent/id"), &mut |_| {}), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn no_error_repeats_a_secret() {
        let command = passphrase_command(OsStr::new("echo hunter2; exit 1")).unwrap_err();
        assert!(!format!("{command} {command:?}").contains("hunter2"));
    }
}
