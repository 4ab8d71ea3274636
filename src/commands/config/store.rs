//! How a vault's store is reached: its server, its region, and where its credentials are. The profile only says where they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::error::ConfigError;
use super::profile::Places;
use crate::commands::secrets::{self, SecretError};

/// What the profile says about the store of a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// The address of its server.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// A file of variables.
    pub env_file: Option<PathBuf>,
    /// A systemd credential with variables.
    pub credential: Option<String>,
    /// A profile of the AWS command line.
    pub aws_profile: Option<String>,
}

/// The beginnings of the variables by which the clouds' clients are set up.
const CLOUDS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Variables about the machine rather than about one store: they hold whatever credentials a vault has.
const OF_THE_MACHINE: [&str; 5] =
    ["AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_METADATA_ENDPOINT", "AWS_SHARED_CREDENTIALS_FILE"];

impl StoreSettings {
    /// The names of the settings that say where credentials are.
    fn references(&self) -> Vec<&'static str> {
        let all =
            [("env-file", self.env_file.is_some()), ("credential", self.credential.is_some()), ("aws-profile", self.aws_profile.is_some())];
        all.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    /// The same for an address that was typed and is not in the profile: what has no meaning there is left out.
    pub fn for_typed(&self, address: &str) -> Self {
        let (endpoint, region) = names_of(address);
        let mut this = self.clone();
        this.endpoint.take_if(|_| endpoint.is_empty());
        this.region.take_if(|_| region.is_empty());
        this
    }

    /// The variables that the store at `address` is opened with: those of this process, in which what the vault says for itself goes
    /// before. A vault that names its credentials uses none of the process's, so that two halves of different keys never meet.
    ///
    /// # Errors
    /// When two places for credentials are named, or one cannot be read, or a setting has no meaning for this kind of store.
    pub fn variables(
        &self,
        address: &str,
        process: impl IntoIterator<Item = (String, String)>,
        places: &Places,
        warn: &mut dyn FnMut(String),
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut variables: BTreeMap<String, String> = process.into_iter().collect();
        let references = self.references();
        if let [first, second, ..] = references.as_slice() {
            return Err(StoreError::Several { first, second });
        }
        if !references.is_empty() {
            variables.retain(|name, _| OF_THE_MACHINE.contains(&name.as_str()) || !CLOUDS.iter().any(|cloud| name.starts_with(cloud)));
        }
        if let Some(path) = &self.env_file {
            variables.extend(read_variables(path, warn)?);
        }
        if let Some(name) = &self.credential {
            variables.extend(read_variables(&credential(name)?, warn)?);
        }
        if let Some(name) = &self.aws_profile {
            variables.extend(aws_profile(name, &variables, places, warn)?);
        }
        let (endpoint, region) = names_of(address);
        for (setting, value, names) in [("endpoint", &self.endpoint, endpoint), ("region", &self.region, region)] {
            let Some(value) = value else { continue };
            let Some(first) = names.first() else {
                return Err(StoreError::NoMeaning { setting, address: address.to_owned() });
            };
            variables.retain(|name, _| !names.contains(&name.as_str()));
            variables.insert((*first).to_owned(), value.clone());
        }
        Ok(variables.into_iter().collect())
    }
}

/// The variables with the server and the region of a kind of store; none where it has no such thing.
fn names_of(address: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match address.split_once("://").map_or("", |(scheme, _)| scheme) {
        "s3" | "s3a" => {
            (&["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_S3_ENDPOINT"], &["AWS_REGION", "AWS_DEFAULT_REGION"])
        }
        "az" | "azure" | "abfs" | "abfss" | "adl" => (&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"], &[]),
        _ => (&[], &[]),
    }
}

/// Why a store's variables cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two places for one vault's credentials.
    #[error("a vault has one place for its store's credentials, and the profile names two: {first} and {second}")]
    Several {
        /// One of the keys.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A setting that this kind of store does not have.
    #[error("{setting} has no meaning for {address}")]
    NoMeaning {
        /// The key.
        setting: &'static str,
        /// The vault's address.
        address: String,
    },
    /// A line is no variable.
    #[error("line {line} of '{}' is not a variable: write NAME=value", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// systemd gave this process no such credential.
    #[error("there is no systemd credential '{name}'")]
    NoCredential {
        /// Its name.
        name: String,
    },
    /// The AWS command line has no such profile, or one that holds no key.
    #[error("AWS profile '{name}' {why}")]
    Aws {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no home folder.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl StoreError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Several { .. } => "keep one of them for each vault",
            Self::NoMeaning { .. } => "endpoint works for s3:// and az://, region for s3:// only",
            Self::Line { .. } => "one variable a line, as in AWS_ACCESS_KEY_ID=…; lines that begin with # are comments",
            Self::NoCredential { .. } => "add LoadCredential=NAME:FILE to the unit, or use env-file to run it by hand",
            Self::Aws { .. } => {
                "put aws_access_key_id and aws_secret_access_key into ~/.aws/credentials, or use env-file; roles and single sign-on are not \
                 supported in a profile"
            }
            Self::Secret(error) => return error.hint(),
            Self::Config(error) => return error.hint(),
        })
    }
}

/// The file of a credential that systemd hands to this process.
fn credential(name: &str) -> Result<PathBuf, StoreError> {
    let absent = || StoreError::NoCredential { name: crate::commands::units::printable(name) };
    // Its name is a file's: with a slash it would be a path of somebody's choice.
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(absent());
    }
    let path = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(name)).ok_or_else(absent)?;
    if path.is_file() { Ok(path) } else { Err(absent()) }
}

/// Reads `NAME=value` lines, as systemd's `EnvironmentFile=` and shells write them.
fn read_variables(path: &Path, warn: &mut dyn FnMut(String)) -> Result<Vec<(String, String)>, StoreError> {
    let text = secrets::text_file("variables", path, warn)?;
    parse_variables(&text).map_err(|line| StoreError::Line { path: path.to_owned(), line })
}

/// The variables in a text; the number of the first line that is none where one is not.
fn parse_variables(text: &SecretString) -> Result<Vec<(String, String)>, usize> {
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.expose_secret().lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=').ok_or(number)?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(number);
        }
        variables.push((name.to_owned(), unquoted(value.trim()).to_owned()));
    }
    Ok(variables)
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// What a profile of the AWS command line says, as variables.
fn aws_profile(
    name: &str,
    variables: &BTreeMap<String, String>,
    places: &Places,
    warn: &mut dyn FnMut(String),
) -> Result<Vec<(String, String)>, StoreError> {
    let file = |variable: &str, usual: &str| match (variables.get(variable), &places.home) {
        (Some(path), _) => Ok(PathBuf::from(path)),
        (None, Some(home)) => Ok(home.join(usual)),
        (None, None) => Err(ConfigError::NoHome),
    };
    let failed = |why: &str| StoreError::Aws { name: crate::commands::units::printable(name), why: why.to_owned() };
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?;
    let config = file("AWS_CONFIG_FILE", ".aws/config")?;
    let of_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let mut found = BTreeMap::new();
    for (path, section) in [(config, of_config.as_str()), (credentials, name)] {
        if path.is_file() {
            // What is not secret of it is in `config`, which others may read.
            let is_secret = path.ends_with("credentials");
            let text = secrets::text_file("AWS profile", &path, &mut |text| {
                if is_secret {
                    warn(text)
                }
            })?;
            found.extend(section_of(text.expose_secret(), section));
        }
    }
    if found.is_empty() {
        return Err(failed("does not exist"));
    }
    let known = [
        ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
        ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("aws_session_token", "AWS_SESSION_TOKEN"),
        ("region", "AWS_REGION"),
        ("endpoint_url", "AWS_ENDPOINT_URL"),
    ];
    let given: Vec<(String, String)> =
        known.into_iter().filter_map(|(key, variable)| Some((variable.to_owned(), found.get(key)?.clone()))).collect();
    if found.contains_key("aws_access_key_id") && found.contains_key("aws_secret_access_key") {
        Ok(given)
    } else {
        Err(failed("has no access key"))
    }
}

/// The settings of one section of an INI file; what is indented belongs to the setting before it.
fn section_of(text: &str, wanted: &str) -> BTreeMap<String, String> {
    let mut is_inside = false;
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
        if let Some(section) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = section.trim() == wanted;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_inside) {
            found.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(files: &[(&str, &str)]) -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
        }
        let places = Places { home: Some(folder.path().into()), ..Places::default() };
        (folder, places)
    }

    fn of<'a>(found: &'a [(String, String)], name: &str) -> Option<&'a str> {
        found.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    const PROCESS: [(&str, &str); 4] =
        [("AWS_ACCESS_KEY_ID", "of-the-process"), ("AWS_SESSION_TOKEN", "t"), ("AWS_CA_BUNDLE", "/ca"), ("AWS_REGION", "r1")];

    fn process() -> Vec<(String, String)> {
        PROCESS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn credentials_of_a_vault_never_mix_with_those_of_the_process() {
        let (folder, places) = home(&[("env", "# a comment\nexport AWS_ACCESS_KEY_ID='mine'\nAWS_SECRET_ACCESS_KEY=\"a b\"\n\n")]);
        let store = StoreSettings { env_file: Some(folder.path().join("env")), ..StoreSettings::default() };
        let found = store.variables("s3://b", process(), &places, &mut |_| {}).unwrap();
        assert_eq!(of(&found, "AWS_ACCESS_KEY_ID"), Some("mine"));
        assert_eq!(of(&found, "AWS_SECRET_ACCESS_KEY"), Some("a b"));
        assert_eq!((of(&found, "AWS_SESSION_TOKEN"), of(&found, "AWS_REGION")), (None, None));
        assert_eq!(of(&found, "AWS_CA_BUNDLE"), Some("/ca"));
        // A vault that names none uses what there is.
        let found = StoreSettings::default().variables("s3://b", process(), &places, &mut |_| {}).unwrap();
        assert_eq!(of(&found, "AWS_SESSION_TOKEN"), Some("t"));
    }

    #[test]
    fn server_and_region_go_before_all_others() {
        let (_folder, places) = home(&[]);
        let store = StoreSettings { endpoint: Some("https://e".into()), region: Some("r2".into()), ..StoreSettings::default() };
        let process = process().into_iter().chain([("AWS_ENDPOINT_URL_S3".to_owned(), "https://other".to_owned())]);
        let found = store.variables("s3://b", process, &places, &mut |_| {}).unwrap();
        assert_eq!((of(&found, "AWS_ENDPOINT_URL"), of(&found, "AWS_ENDPOINT_URL_S3")), (Some("https://e"), None));
        assert_eq!(of(&found, "AWS_REGION"), Some("r2"));
        for address in ["/folder", "gs://b"] {
            assert!(matches!(store.variables(address, [], &places, &mut |_| {}), Err(StoreError::NoMeaning { setting: "endpoint", .. })));
        }
    }

    #[test]
    fn profiles_of_the_aws_command_line_are_read_from_both_files() {
        let credentials = "[default]\naws_access_key_id = d\n[work]\naws_access_key_id = w\naws_secret_access_key = s\n";
        let config = "[profile work]\nregion = eu-south-2\ns3 =\n  endpoint_url = http://nested\nendpoint_url=https://e\n[profile role]\nrole_arn = x\n";
        let (_folder, places) = home(&[(".aws/credentials", credentials), (".aws/config", config)]);
        let read = |name: &str| {
            let store = StoreSettings { aws_profile: Some(name.to_owned()), ..StoreSettings::default() };
            store.variables("s3://b", process(), &places, &mut |_| {})
        };
        let found = read("work").unwrap();
        assert_eq!((of(&found, "AWS_ACCESS_KEY_ID"), of(&found, "AWS_REGION")), (Some("w"), Some("eu-south-2")));
        assert_eq!((of(&found, "AWS_ENDPOINT_URL"), of(&found, "AWS_SESSION_TOKEN")), (Some("https://e"), None));
        assert!(read("none").unwrap_err().to_string().contains("does not exist"));
        for half in ["default", "role"] {
            assert!(read(half).unwrap_err().to_string().contains("no access key"), "{half}");
        }
    }

    #[test]
    fn a_line_that_is_no_variable_is_named_without_its_text() {
        let (folder, places) = home(&[("env", "AWS_REGION=x\nhunter2\n")]);
        let store = StoreSettings { env_file: Some(folder.path().join("env")), ..StoreSettings::default() };
        let error = store.variables("s3://b", [], &places, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
        let two = StoreSettings { aws_profile: Some("x".into()), ..store };
        assert!(matches!(two.variables("s3://b", [], &places, &mut |_| {}), Err(StoreError::Several { .. })));
    }
}
