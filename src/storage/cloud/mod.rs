//! The clouds: clients built from the standard environment variables, with an HTTP side of our own.
//!
//! - `http`: one connection pool that counts bytes, keeps to the limits, and gives up on silence instead of on slowness.
//! - `explain`: what a failed request means.

mod explain;
mod http;

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, RetryConfig};
use url::Url;

use super::address::Provider;
use super::error::{Result, StorageError};
use super::object::ObjectBackend;
use super::options::StorageOptions;
use super::traffic::Meter;
use http::Connector;

pub(super) use explain::explain;

/// Builds the client for a bucket or container.
pub(crate) fn open(
    provider: Provider,
    url: &Url,
    prefix: Path,
    env: impl IntoIterator<Item = (String, String)>,
    options: &StorageOptions,
    meter: Arc<Meter>,
) -> Result<ObjectBackend> {
    let connector = Connector::new(options, meter);
    let container = url.as_str().trim_end_matches('/').to_owned();
    match provider {
        Provider::Aws => open_s3(url, prefix, container, env, connector),
        Provider::Google => open_gcs(url, prefix, container, env, connector),
        Provider::Azure => open_azure(url, prefix, container, env, connector),
    }
}

fn open_s3(
    url: &Url,
    prefix: Path,
    container: String,
    env: impl IntoIterator<Item = (String, String)>,
    connector: Connector,
) -> Result<ObjectBackend> {
    let mut builder = AmazonS3Builder::new().with_retry(no_retries()).with_client_options(client_options());
    let mut metadata_disabled = false;
    for (name, value) in env {
        if name == "AWS_EC2_METADATA_DISABLED" {
            metadata_disabled = value.eq_ignore_ascii_case("true");
        }
        if let Some(key) = config_key::<AmazonS3ConfigKey>(&name, "AWS_") {
            builder = builder.with_config(key, value);
        }
    }
    let configured = |key| builder.get_config_value(&key);
    let endpoint = configured(AmazonS3ConfigKey::S3Endpoint).or_else(|| configured(AmazonS3ConfigKey::Endpoint));
    let has_credentials = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ]
    .into_iter()
    .any(|key| configured(key).is_some());
    let unsigned = configured(AmazonS3ConfigKey::SkipSignature).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if metadata_disabled && !has_credentials && !unsigned {
        let source = "no key in the environment, and AWS_EC2_METADATA_DISABLED rules the instance's role out".into();
        return Err(StorageError::NoCredentials { container, source });
    }
    // The check sum is computed anyway, for the signature; stored beside the part it lets the server refuse a flipped bit.
    if configured(AmazonS3ConfigKey::Checksum).is_none() {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    let mut builder = builder.with_url(url.as_str()).with_http_connector(connector);
    // Objects are deleted one at a time, which every server can do; not all know the bulk request.
    builder = builder.with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
    if endpoint.as_deref().is_some_and(is_plain_http) {
        builder = builder.with_allow_http(true);
    }
    let backend = ObjectBackend::cloud(builder.build().map_err(|error| settings(&container, error))?, prefix, container);
    // Amazon honours the condition on a put; of the others, some ignore it and overwrite.
    Ok(match endpoint {
        Some(endpoint) if !is_amazon(&endpoint) => backend.look_first(),
        _ => backend,
    })
}

fn open_gcs(
    url: &Url,
    prefix: Path,
    container: String,
    env: impl IntoIterator<Item = (String, String)>,
    connector: Connector,
) -> Result<ObjectBackend> {
    let mut builder = GoogleCloudStorageBuilder::new().with_retry(no_retries()).with_client_options(client_options());
    for (name, value) in env {
        if let Some(key) = config_key::<GoogleConfigKey>(&name, "GOOGLE_") {
            builder = builder.with_config(key, value);
        }
    }
    let builder = builder.with_url(url.as_str()).with_http_connector(connector);
    // Only a service account's file can name another endpoint: a server for tests, as a rule without TLS.
    let builder = builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true");
    Ok(ObjectBackend::cloud(builder.build().map_err(|error| settings(&container, error))?, prefix, container))
}

fn open_azure(
    url: &Url,
    prefix: Path,
    container: String,
    env: impl IntoIterator<Item = (String, String)>,
    connector: Connector,
) -> Result<ObjectBackend> {
    let mut builder = MicrosoftAzureBuilder::new().with_retry(no_retries()).with_client_options(client_options());
    for (name, value) in env {
        let key = match name.as_str() {
            // The names that Azure's own command line reads.
            "AZURE_STORAGE_ACCOUNT" => Some(AzureConfigKey::AccountName),
            "AZURE_STORAGE_KEY" => Some(AzureConfigKey::AccessKey),
            name => config_key(name, "AZURE_"),
        };
        if let Some(key) = key {
            builder = builder.with_config(key, value);
        }
    }
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    let mut builder = builder.with_url(url.as_str()).with_http_connector(connector);
    if endpoint.as_deref().is_some_and(is_plain_http) {
        builder = builder.with_allow_http(true);
    }
    let store = builder.build().map_err(|error| settings(&container, error))?;
    Ok(ObjectBackend::cloud(store, prefix, container).discard_by_overwrite())
}

/// The setting that a variable stands for; the crates' names without a provider's prefix (`TOKEN`, `REGION`) are left alone,
/// since such variables mean other things on other machines.
fn config_key<K: std::str::FromStr>(name: &str, prefix: &str) -> Option<K> {
    name.starts_with(prefix).then(|| name.to_ascii_lowercase().parse().ok()).flatten()
}

fn settings(container: &str, error: object_store::Error) -> StorageError {
    StorageError::Settings { address: container.into(), source: Box::new(error) }
}

/// Repeating is done above, where one budget covers every kind of failure and a new attempt is signed anew.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The crate's whole-request limit has no use beside the connector's own patience.
fn client_options() -> ClientOptions {
    ClientOptions::new().with_timeout_disabled().with_connect_timeout_disabled()
}

/// Somebody wrote `http://` on purpose: what is sent is encrypted, and signatures do not contain the key.
fn is_plain_http(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

fn is_amazon(endpoint: &str) -> bool {
    let host = Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}
