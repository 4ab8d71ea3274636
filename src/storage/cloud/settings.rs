//! What the clouds' variables may hold. The clients take any text and fail late, some of them by a panic: so what cannot be right is
//! refused here, with the name of the variable.

use url::Url;

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} {why}")]
pub(super) struct Unusable {
    variable: String,
    why: String,
}

/// Checks a variable that a client is going to read.
///
/// # Errors
/// What is wrong with it; its value only where it is an address without secrets.
pub(super) fn check(variable: &str, value: &str) -> Result<(), Unusable> {
    let unusable = |why: String| Err(Unusable { variable: variable.to_owned(), why });
    // A service account's file may be given whole.
    if variable.ends_with("_SERVICE_ACCOUNT_KEY") {
        return service_account(value).map_or_else(unusable, Ok);
    }
    // Paths of files may hold anything.
    if ["_FILE", "_PATH", "_CREDENTIALS", "_SERVICE_ACCOUNT"].iter().any(|end| variable.ends_with(end)) {
        return Ok(());
    }
    if !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return unusable("holds a line break or another character that no request can carry".into());
    }
    if value.trim() != value {
        return unusable("begins or ends with a space".into());
    }
    if variable.ends_with("_RELATIVE_URI") {
        return match value.starts_with('/') {
            true if value.bytes().all(is_of_uri) => Ok(()),
            true => unusable("holds a space or another character that no address has".into()),
            false => unusable("must begin with '/'".into()),
        };
    }
    if names_url(variable) {
        return url_fault(value).map_or(Ok(()), unusable);
    }
    if ["_REGION", "_BUCKET", "_BUCKET_NAME", "_CONTAINER_NAME", "_ACCOUNT_NAME", "_STORAGE_ACCOUNT"]
        .iter()
        .any(|end| variable.ends_with(end))
        && !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return unusable(format!("is '{value}': only letters, digits, '-', '_' and '.' are possible"));
    }
    Ok(())
}

/// Whether a byte may stand in the path or query of a request as it is (RFC 3986).
fn is_of_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%".contains(&byte)
}

fn names_url(variable: &str) -> bool {
    let mentions = ["ENDPOINT", "_URL", "_URI", "_HOST"].iter().any(|part| variable.contains(part));
    mentions && !variable.contains("_USE_") && !variable.contains("VIRTUAL_HOSTED")
}

/// Why a text cannot be the address of a server.
pub(super) fn url_fault(text: &str) -> Option<String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        // Whoever leaves the scheme out may have put a secret there, too.
        let shown = if text.contains('@') { String::new() } else { format!(" is '{text}':") };
        return Some(
            format!("{shown} must begin with https:// (or http://, for a server that has no encryption of its own)")
                .trim_start()
                .to_owned(),
        );
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("is no address of a server: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds a user name or a password: credentials have variables of their own".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some("has a '?' or '#' part, which the address of a server has not".into());
    }
    if text.contains(' ') {
        return Some("holds a space".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Some("names no server".into());
    }
    None
}

/// Checks the content of a service account's file.
pub(super) fn service_account(text: &str) -> Result<(), String> {
    // What is no JSON is the client's to name: it says line and column.
    let Ok(content) = serde_json::from_str::<serde_json::Value>(text) else { return Ok(()) };
    let field = |name: &str| content.get(name).and_then(serde_json::Value::as_str);
    for name in ["gcs_base_url", "token_uri"] {
        if let Some(fault) = field(name).and_then(url_fault) {
            return Err(format!("has a '{name}' that {fault}"));
        }
    }
    for name in ["client_email", "private_key_id"] {
        if field(name).is_some_and(|value| !value.bytes().all(|byte| (0x20..0x7f).contains(&byte))) {
            return Err(format!("has a '{name}' with a character that no request can carry"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_right_is_named() {
        let told = |variable: &str, value: &str| check(variable, value).unwrap_err().to_string();
        for value in ["127.0.0.1:9000", "localhost:9000", "minio", "ftp://host", "//host", "host/path"] {
            let told = told("AWS_ENDPOINT_URL", value);
            assert!(told.contains(value) && told.contains("must begin with https://"), "{told}");
        }
        for value in ["http://", "https://:9000", "https://[::1", "https://a b", "https://u:p@host", "https://host?x", "https://host/#x"] {
            assert!(check("AWS_ENDPOINT_URL_S3", value).is_err(), "{value}");
        }
        assert!(!told("AWS_ENDPOINT_URL", "key:hunter2@host").contains("hunter2"));
        assert!(!told("AWS_SECRET_ACCESS_KEY", "hunter2\n").contains("hunter2"));
        for (variable, value) in [
            ("AWS_REGION", "eu west"),
            ("AWS_SESSION_TOKEN", "é"),
            ("AWS_ACCESS_KEY_ID", " x"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/a{b}"),
        ] {
            assert!(check(variable, value).is_err(), "{variable}");
        }
    }

    #[test]
    fn what_is_right_passes() {
        for (variable, value) in [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_ENDPOINT_URL", "HTTPS://[::1]:9000/path/"),
            ("AZURE_STORAGE_USE_FABRIC_ENDPOINT", "true"),
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/var/lib/ä b"),
            ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024&sig=a%2Fb%3D"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", "{\n  \"client_email\": \"a@b\"\n}"),
        ] {
            check(variable, value).unwrap();
        }
    }
}
