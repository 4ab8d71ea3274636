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
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
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
    let container = url.as_str().trim_end_matches('/').to_owned();
    let opening = Opening { url: url.as_str(), prefix, container, connector: Connector::new(options, meter) };
    let env: Vec<(String, String)> = env.into_iter().collect();
    match provider {
        Provider::Aws => opening.s3(&env),
        Provider::Google => opening.gcs(&env),
        Provider::Azure => opening.azure(&env),
    }
}

/// What each of the clients is built from.
struct Opening<'a> {
    url: &'a str,
    prefix: Path,
    /// The address for messages.
    container: String,
    connector: Connector,
}

impl Opening<'_> {
    fn s3(self, env: &[(String, String)]) -> Result<ObjectBackend> {
        let builder = AmazonS3Builder::new().with_retry(no_retries()).with_client_options(client_options());
        let mut builder = with_env(builder, env, |name| config_key(name, "AWS_"), AmazonS3Builder::with_config);
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
        let metadata_disabled = env.iter().any(|(name, value)| name == "AWS_EC2_METADATA_DISABLED" && value.eq_ignore_ascii_case("true"));
        if metadata_disabled && !has_credentials && !unsigned {
            let source = "no key in the environment, and AWS_EC2_METADATA_DISABLED rules the instance's role out".into();
            return Err(StorageError::NoCredentials { container: self.container, source });
        }
        // The check sum is computed anyway, for the signature; stored beside the part it lets the server refuse a flipped bit.
        if configured(AmazonS3ConfigKey::Checksum).is_none() {
            builder = builder.with_checksum_algorithm(Checksum::SHA256);
        }
        if endpoint.as_deref().is_some_and(is_plain_http) {
            builder = builder.with_allow_http(true);
        }
        // Objects are deleted one at a time, which every server can do; not all know the bulk request.
        let builder = builder.with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
        let built = builder.with_url(self.url).with_http_connector(self.connector.clone()).build();
        let backend = self.backend(built)?;
        // Amazon honours the condition on a put; of the others, some ignore it and overwrite.
        Ok(match endpoint {
            Some(endpoint) if !is_amazon(&endpoint) => backend.may_ignore_conditions(),
            _ => backend,
        })
    }

    fn gcs(self, env: &[(String, String)]) -> Result<ObjectBackend> {
        let builder = GoogleCloudStorageBuilder::new().with_retry(no_retries()).with_client_options(client_options());
        let builder = with_env(builder, env, |name| config_key(name, "GOOGLE_"), GoogleCloudStorageBuilder::with_config);
        // Only a service account's file can name another endpoint: a server for tests, as a rule without TLS.
        let builder = builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true");
        let built = builder.with_url(self.url).with_http_connector(self.connector.clone()).build();
        self.backend(built)
    }

    fn azure(self, env: &[(String, String)]) -> Result<ObjectBackend> {
        // The names that Azure's own command line reads, and the client's.
        let key = |name: &str| match name {
            "AZURE_STORAGE_ACCOUNT" => Some(AzureConfigKey::AccountName),
            "AZURE_STORAGE_KEY" => Some(AzureConfigKey::AccessKey),
            name => config_key(name, "AZURE_"),
        };
        let builder = MicrosoftAzureBuilder::new().with_retry(no_retries()).with_client_options(client_options());
        let mut builder = with_env(builder, env, key, MicrosoftAzureBuilder::with_config);
        if builder.get_config_value(&AzureConfigKey::Endpoint).as_deref().is_some_and(is_plain_http) {
            builder = builder.with_allow_http(true);
        }
        let built = builder.with_url(self.url).with_http_connector(self.connector.clone()).build();
        Ok(self.backend(built)?.discard_by_overwrite())
    }

    /// The backend on a client that was built, or why it could not be.
    fn backend<S: ObjectStore + MultipartStore>(self, built: object_store::Result<S>) -> Result<ObjectBackend> {
        match built {
            Ok(store) => Ok(ObjectBackend::cloud(store, self.prefix, self.container)),
            // The address alone does not name Azure's account.
            Err(error) if explain::chain(&error).contains("Account must be specified") => {
                Err(StorageError::NoCredentials { container: self.container, source: "no account is named".into() })
            }
            Err(error) => Err(StorageError::Settings { address: self.container, source: Box::new(error) }),
        }
    }
}

/// Gives a client's builder what the variables say, each under the name that `key` finds for it.
fn with_env<B, K>(builder: B, env: &[(String, String)], key: impl Fn(&str) -> Option<K>, set: fn(B, K, String) -> B) -> B {
    env.iter().fold(builder, |builder, (name, value)| match key(name) {
        Some(key) => set(builder, key, value.clone()),
        None => builder,
    })
}

/// The setting that a variable stands for; the crates' names without a provider's prefix (`TOKEN`, `REGION`) are left alone,
/// since such variables mean other things on other machines.
fn config_key<K: std::str::FromStr>(name: &str, prefix: &str) -> Option<K> {
    name.starts_with(prefix).then(|| name.to_ascii_lowercase().parse().ok()).flatten()
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
