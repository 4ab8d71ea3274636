//! Figures in Prometheus's text form, for node_exporter's textfile collector.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::AlertError;

/// One figure of a source in a vault, or of a vault.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which figure; one of [`FAMILIES`].
    pub name: &'static str,
    /// What it belongs to.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: f64,
}

/// All figures with what they mean. Two files with one name and different words would hide each other: these never vary.
pub const FAMILIES: [(&str, &str); 8] = [
    ("tgvault_last_backup_timestamp_seconds", "When the last backup of this source into this vault began."),
    ("tgvault_last_backup_bytes", "Bytes of content in the last backup."),
    ("tgvault_last_backup_entries", "Entries in the last backup."),
    ("tgvault_last_backup_problems", "Entries that the last backup could not read."),
    ("tgvault_last_run_timestamp_seconds", "When the last run of this source into this vault began, whether or not it made a backup."),
    ("tgvault_last_run_exit_code", "How the last run of this source into this vault ended."),
    ("tgvault_last_verify_timestamp_seconds", "When this vault was last verified from this machine."),
    ("tgvault_last_verify_sound", "Whether the last verification of this vault found nothing wrong."),
];

/// The text of all samples.
pub fn text(samples: &[Sample]) -> String {
    let mut text = String::new();
    for (name, help) in FAMILIES {
        let mut of_name = samples.iter().filter(|sample| sample.name == name).peekable();
        if of_name.peek().is_none() {
            continue;
        }
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for sample in of_name {
            let labels: Vec<String> = sample.labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let _ = writeln!(text, "{name}{{{}}} {}", labels.join(","), sample.value);
        }
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

/// Replaces the file whole: readable for the exporter, and under another name until it is complete.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), AlertError> {
    let failed = |source| AlertError::File { path: path.display().to_string(), source };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // The user's mask may have taken away what the exporter needs.
        fs::set_permissions(&temporary, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_holds_cannot_end_its_label() {
        let labels = vec![("source", "a\"b\\c\nd".to_owned())];
        let samples = [Sample { name: "tgvault_last_run_exit_code", labels, value: 3.0 }];
        let text = text(&samples);
        assert!(text.ends_with("tgvault_last_run_exit_code{source=\"a\\\"b\\\\c\\nd\"} 3\n"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }
}
