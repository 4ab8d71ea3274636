//! The address of a store: what the user types, understood once, and shown without secrets.

use std::fmt;
use std::path::{Path, PathBuf};

use object_store::ObjectStoreScheme;
use object_store::path::Path as ObjectPath;
use url::Url;

use super::error::{Result, StorageError};

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A folder, absolute.
    Local(PathBuf),
    /// The memory of this process, for tests.
    Memory,
    /// A bucket or container of a cloud.
    Cloud {
        /// Whose.
        provider: Provider,
        /// The address as given, free of secrets.
        url: Url,
        /// The path below the bucket.
        prefix: ObjectPath,
    },
}

/// The clouds that are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Aws,
    Google,
    Azure,
}

/// What addresses of stores begin with.
const SCHEMES: [&str; 12] = ["s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "file", "memory", "http", "https"];

impl Address {
    /// Reads a path, `file://`, `memory://`, or the spellings of `s3://`, `gs://` and `az://` that `object_store` knows.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if !text.contains("://") {
            return Self::parse_path(text);
        }
        let url = Url::parse(text).map_err(|error| fault(format!("{error}")))?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(foreign_scheme(url.scheme()));
        }
        if url.password().is_some() {
            return Err(fault("it holds a password; secrets come from the environment".into()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("it has a '?' or '#' part; settings and secrets come from the environment".into()));
        }
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Local).map_err(|()| fault(format!("'{url}' is not a path on this machine"))),
            "memory" => Ok(Self::Memory),
            _ => Self::parse_cloud(url),
        }
    }

    fn parse_path(text: &str) -> Result<Self> {
        if let Some((scheme, _)) = text.split_once(':').filter(|(scheme, _)| SCHEMES.contains(&scheme.to_ascii_lowercase().as_str())) {
            return Err(fault(format!("two slashes are missing: {}://…", scheme.to_ascii_lowercase())));
        }
        refuse_foreign(text)?;
        std::path::absolute(Path::new(text)).map(Self::Local).map_err(|error| fault(format!("'{text}': {error}")))
    }

    fn parse_cloud(url: Url) -> Result<Self> {
        if url.host_str().is_none_or(str::is_empty) {
            let is_ours = SCHEMES.contains(&url.scheme());
            return Err(if is_ours { StorageError::NoBucket { address: url.to_string() } } else { foreign_scheme(url.scheme()) });
        }
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| fault(error.to_string()))?;
        let provider = match scheme {
            ObjectStoreScheme::AmazonS3 => Provider::Aws,
            ObjectStoreScheme::GoogleCloudStorage => Provider::Google,
            ObjectStoreScheme::MicrosoftAzure => Provider::Azure,
            _ => return Err(foreign_scheme(url.scheme())),
        };
        if provider != Provider::Azure && !url.username().is_empty() {
            return Err(fault("it holds a user name; credentials come from the environment".into()));
        }
        Ok(Self::Cloud { provider, url, prefix })
    }
}

/// Shown in messages and logs; parsing has refused whatever could hold a secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str("memory://"),
            Self::Cloud { url, .. } => write!(f, "{}", url.as_str().trim_end_matches('/')),
        }
    }
}

/// What to write in place of a kind of store that is none of ours.
fn foreign_scheme(scheme: &str) -> StorageError {
    let instead = match scheme {
        "http" | "https" | "minio" | "b2" | "r2" | "wasabi" | "spaces" | "ceph" | "swift" => {
            "; a server that speaks S3 is s3://bucket/prefix, with its own address in AWS_ENDPOINT_URL"
        }
        "gcs" => "; Google Cloud Storage is gs://bucket/prefix",
        "wasb" | "wasbs" => "; Azure is az://container/prefix",
        _ => ": mount that place, and name the folder",
    };
    fault(format!("'{scheme}' is not a kind of store{instead}"))
}

/// The ends of host names that nobody gives to a folder.
const HOSTS: [&str; 7] = [
    ".amazonaws.com",
    ".backblazeb2.com",
    ".cloudflarestorage.com",
    ".core.windows.net",
    ".digitaloceanspaces.com",
    ".googleapis.com",
    ".wasabisys.com",
];

/// Whether nobody sees this character, or takes it for another: it came along when something was copied.
fn is_treacherous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}')
}

/// Refuses what is no path to whoever typed it: a folder of that name would be made by accident, and hold a vault that nobody looks
/// for there, or what a restore writes in plain text.
///
/// # Errors
/// [`StorageError::Address`] says what it looks like.
pub fn refuse_foreign(text: &str) -> Result<()> {
    let refuse = |what: &str| Err(fault(format!("'{text}' {what}; for a folder of this very name write ./{text}")));
    if text.trim() != text {
        return refuse("has blanks at its ends");
    }
    if text.chars().any(is_treacherous) {
        return Err(fault("it has characters that nobody can see".into()));
    }
    if text.starts_with('~') {
        return refuse("begins with a ~ that no shell has replaced: write the path in full, or without quotes");
    }
    if text == "-" {
        return refuse("is standard input or output elsewhere, and not here");
    }
    if text.starts_with(['$', '%', '`']) {
        return refuse("begins with a variable that no shell has replaced");
    }
    let quotes = ['"', '\'', '“', '”', '„', '‘', '’', '«', '»'];
    if text.starts_with(quotes) && text.ends_with(quotes) {
        return refuse("has quotes that no shell has removed");
    }
    if text.starts_with("//") {
        return Err(fault(format!(
            "'{text}' looks like a share of a network: mount it, and name the folder; for a folder write one slash"
        )));
    }
    let first = text.split('/').next().unwrap_or_default();
    if SCHEMES.contains(&first) && text.get(first.len()..).is_some_and(|rest| rest.starts_with("//")) {
        return refuse(&format!("lacks a colon: {first}://…"));
    }
    if HOSTS.iter().any(|host| first.to_ascii_lowercase().ends_with(host)) {
        return refuse("is the name of a server: write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix");
    }
    let (name, _) = first.split_once(':').unwrap_or(("", ""));
    if name.len() == 1 && name.chars().all(|letter| letter.is_ascii_alphabetic()) || first.contains('\\') {
        return refuse("looks like a path of Windows: mount that folder, and name it by its path here");
    }
    if first.contains([':', '：']) {
        return refuse("looks like the address of another program (as sftp:, rclone: or user@host:): mount that place, or name a folder");
    }
    Ok(())
}

fn fault(reason: String) -> StorageError {
    StorageError::Address { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(text: &str) -> (Provider, String) {
        match Address::parse(text).unwrap() {
            Address::Cloud { provider, prefix, .. } => (provider, prefix.to_string()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn all_spellings() {
        assert_eq!(Address::parse("/srv/vault").unwrap(), Address::Local("/srv/vault".into()));
        assert_eq!(Address::parse("file:///srv/a%20b").unwrap(), Address::Local("/srv/a b".into()));
        assert_eq!(Address::parse("vault").unwrap(), Address::Local(std::env::current_dir().unwrap().join("vault")));
        assert_eq!(Address::parse("memory://").unwrap(), Address::Memory);
        assert_eq!(cloud("s3://bucket/a/b/"), (Provider::Aws, "a/b".into()));
        assert_eq!(cloud("s3://bucket"), (Provider::Aws, String::new()));
        assert_eq!(cloud("gs://bucket/a"), (Provider::Google, "a".into()));
        assert_eq!(cloud("az://container/a"), (Provider::Azure, "a".into()));
        assert_eq!(cloud("abfss://container@account.dfs.core.windows.net/a"), (Provider::Azure, "a".into()));
        assert_eq!(cloud("https://s3.eu-west-1.amazonaws.com/bucket/a"), (Provider::Aws, "a".into()));
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["", "s3:bucket", "s3:/bucket", "ftp://host/x", "https://example.org/x", "gs://user@bucket/x"] {
            assert!(matches!(Address::parse(text), Err(StorageError::Address { .. })), "{text}");
        }
        for text in ["s3://", "s3:///prefix", "gs:///", "az://"] {
            assert!(matches!(Address::parse(text), Err(StorageError::NoBucket { .. })), "{text}: {:?}", Address::parse(text));
        }
    }

    #[test]
    fn addresses_of_other_programs_are_no_folders() {
        for text in [
            "sftp:user@host:/backups",
            "sftp://user@host/backups",
            "rclone:remote:path",
            "remote:",
            "b2:bucket:path",
            "rest:http://host:8000/",
            "user@host:backups",
            "user@host:/backups",
            "host:/backups",
            "ssh://host/./backups",
            "swift:container:/path",
            "C:\\backups",
            "C:/backups",
            "D:",
            "\\\\server\\share",
            "backups\\vault",
            "~/backups",
            "~mara/backups",
            "$HOME/backups",
            "%USERPROFILE%",
            "\"/srv/vault\"",
            "“/srv/vault”",
            "`pwd`/vault",
            "-",
            "S3:bucket/prefix",
            "s3：//bucket/prefix",
            "\u{200e}/srv/vault",
            "s3.eu-central-1.amazonaws.com/bucket",
            "bucket.s3.amazonaws.com",
            "http://127.0.0.1:9000/bucket",
            "webdav://host/x",
            "gcs://bucket/x",
            "'vault'",
            "s3//bucket/prefix",
            "//server/share",
            " /srv/vault",
            "/srv/vault ",
            "/srv/vault\n",
        ] {
            assert!(matches!(Address::parse(text), Err(StorageError::Address { .. })), "{text:?}: {:?}", Address::parse(text));
        }
        for text in ["./user@host:backups", "/srv/a:b", "dir/a:b", "./~/x", "vault", "a b", "/mnt/c\\d", "user@host"] {
            assert!(matches!(Address::parse(text), Ok(Address::Local(_))), "{text}");
        }
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for text in ["s3://key:hunter2@bucket/x", "az://container/x?sig=hunter2", "gs://bucket/x#hunter2", "file://u:hunter2@/x"] {
            let error = Address::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
