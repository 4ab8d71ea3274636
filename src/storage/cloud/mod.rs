//! The clouds: clients built from the standard environment variables, with an HTTP side of our own.
//!
//! - `http`: one connection pool that counts bytes, keeps to the limits, and gives up on silence instead of on slowness.
//! - `lost_uploads`: unfinished ones that are found by the name of the object.
//! - `settings`: what the variables may hold.
//! - `certificates`: those that the user names.
//! - `explain` and `refusal`: what a failed request means.

mod certificates;
mod explain;
mod http;
mod lost_uploads;
mod refusal;
mod settings;

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::HttpConnector as _;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::address::Provider;
use super::error::{Result, StorageError};
use super::object::ObjectBackend;
use super::options::StorageOptions;
use super::traffic::Meter;
use http::Connector;

pub(super) use explain::explain;
pub(super) use lost_uploads::LostUploads;

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
    // What is set to nothing is not set, as for the clouds' own tools.
    let env: Vec<(String, String)> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let tls = certificates::load(&env, options.ca_file.as_deref())
        .map_err(|why| StorageError::Settings { address: container.clone(), source: why.into() })?;
    let connector = Connector::new(options, meter, tls);
    let owner_controls = options.bucket_owner_full_control;
    let opening = Opening { url: url.as_str(), prefix, container, connector, owner_controls };
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
    owner_controls: bool,
}

impl Opening<'_> {
    fn s3(self, env: &[(String, String)]) -> Result<ObjectBackend> {
        self.check(env, |name| config_key::<AmazonS3ConfigKey>(name, "AWS_").is_some())?;
        let builder = AmazonS3Builder::new().with_retry(no_retries()).with_client_options(self.s3_options());
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
        let url = self.url;
        let options = self.s3_options().with_allow_http(endpoint.as_deref().is_some_and(is_plain_http));
        let connector = self.connector.clone();
        let (backend, store) = self.backend(built)?;
        let backend = listing_uploads(backend, store, &connector, &options);
        // Amazon honours the condition on a put; of the others, some ignore it and overwrite.
        Ok(match endpoint {
            Some(endpoint) if !is_amazon(&endpoint) => {
                let place = format!("{}\n{}", endpoint.trim_end_matches('/').to_ascii_lowercase(), url.trim_end_matches('/'));
                backend.may_ignore_conditions(place)
            }
            _ => backend,
        })
    }

    /// The client's options, with the header by which an object belongs to the bucket's owner too: it is signed with the others.
    fn s3_options(&self) -> ClientOptions {
        let mut headers = HeaderMap::new();
        if self.owner_controls {
            headers.insert(HeaderName::from_static("x-amz-acl"), HeaderValue::from_static("bucket-owner-full-control"));
        }
        client_options().with_default_headers(headers)
    }

    fn gcs(self, env: &[(String, String)]) -> Result<ObjectBackend> {
        self.check(env, |name| config_key::<GoogleConfigKey>(name, "GOOGLE_").is_some())?;
        let builder = GoogleCloudStorageBuilder::new().with_retry(no_retries()).with_client_options(client_options());
        let builder = with_env(builder, env, |name| config_key(name, "GOOGLE_"), GoogleCloudStorageBuilder::with_config);
        // Only a service account's file can name another endpoint: a server for tests, as a rule without TLS.
        let builder = builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true");
        let built = builder.with_url(self.url).with_http_connector(self.connector.clone()).build();
        let connector = self.connector.clone();
        let (backend, store) = self.backend(built)?;
        Ok(listing_uploads(backend, store, &connector, &client_options().with_allow_http(true)))
    }

    fn azure(self, env: &[(String, String)]) -> Result<ObjectBackend> {
        // The names that Azure's own command line reads, and the client's.
        let key = |name: &str| match name {
            "AZURE_STORAGE_ACCOUNT" => Some(AzureConfigKey::AccountName),
            "AZURE_STORAGE_KEY" => Some(AzureConfigKey::AccessKey),
            name => config_key(name, "AZURE_"),
        };
        self.check(env, |name| key(name).is_some())?;
        let builder = MicrosoftAzureBuilder::new().with_retry(no_retries()).with_client_options(client_options());
        let mut builder = with_env(builder, env, key, MicrosoftAzureBuilder::with_config);
        if builder.get_config_value(&AzureConfigKey::Endpoint).as_deref().is_some_and(is_plain_http) {
            builder = builder.with_allow_http(true);
        }
        let built = builder.with_url(self.url).with_http_connector(self.connector.clone()).build();
        Ok(self.backend(built)?.0.discard_by_overwrite())
    }

    /// Refuses variables that the client reads and that cannot be right.
    fn check(&self, env: &[(String, String)], is_read: impl Fn(&str) -> bool) -> Result<()> {
        for (name, value) in env.iter().filter(|(name, _)| is_read(name)) {
            let failed = |source| StorageError::Settings { address: self.container.clone(), source };
            settings::check(name, value).map_err(|error| failed(error.into()))?;
            // A service account's file names servers, too; one that cannot be read is the client's to name.
            if let ("GOOGLE_SERVICE_ACCOUNT" | "GOOGLE_SERVICE_ACCOUNT_PATH" | "GOOGLE_APPLICATION_CREDENTIALS", Ok(text)) =
                (name.as_str(), std::fs::read_to_string(value))
            {
                settings::service_account(&text).map_err(|why| failed(format!("{value} {why}").into()))?;
            }
        }
        Ok(())
    }

    /// The backend on a client that was built, or why it could not be.
    fn backend<S: ObjectStore + MultipartStore>(self, built: object_store::Result<S>) -> Result<(ObjectBackend, Arc<S>)> {
        match built {
            Ok(store) => {
                let store = Arc::new(store);
                Ok((ObjectBackend::cloud(Arc::clone(&store), self.prefix, self.container), store))
            }
            // The address alone does not name Azure's account.
            Err(error) if explain::chain(&error).contains("Account must be specified") => {
                Err(StorageError::NoCredentials { container: self.container, source: "no account is named".into() })
            }
            Err(error) => Err(StorageError::Settings { address: self.container, source: Box::new(error) }),
        }
    }
}

/// The backend with a client that lists unfinished uploads; without one where that cannot be made.
fn listing_uploads(backend: ObjectBackend, signer: Arc<dyn Signer>, connector: &Connector, options: &ClientOptions) -> ObjectBackend {
    match connector.connect(options) {
        Ok(client) => backend.with_lost_uploads(LostUploads::new(signer, client)),
        Err(error) => {
            tracing::debug!(%error, "unfinished uploads cannot be listed");
            backend
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::Storage;

    /// All that the clients read of the environment, as far as it reaches a request.
    const VARIABLES: [&str; 34] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_BUCKET",
        "AWS_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_STS",
        "AWS_METADATA_ENDPOINT",
        "AWS_CONDITIONAL_PUT",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        "AWS_REQUEST_PAYER",
        "AWS_SERVER_SIDE_ENCRYPTION",
        "AWS_SSE_KMS_KEY_ID",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_PROXY_URL",
        "AWS_USER_AGENT",
        "AZURE_STORAGE_ACCOUNT",
        "AZURE_STORAGE_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_STORAGE_TOKEN",
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_AUTHORITY_HOST",
        "AZURE_MSI_ENDPOINT",
        "GOOGLE_BASE_URL",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_PROXY_URL",
    ];

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,12}",
            "[ -~\\n]{0,20}",
            "(https?|ftp|s3)?:?/{0,3}([a-z@.]{0,8}|127\\.0\\.0\\.1|\\[::1\\]?)(:[0-9]{0,6})?(/[a-z%?# ]{0,6})?",
            "\\{\"gcs_base_url\":\"[a-z:/\\[.]{0,12}\",\"client_email\":\"[a-z@é]{0,5}\",\"private_key\":\"\",\"private_key_id\":\"\",\"disable_oauth\":true\\}",
            Just("true".to_owned()),
            Just("http://127.0.0.1:9".to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        /// Whatever the variables and the address hold, there is an answer: no value gets as far as a panic of the clients. Every
        /// request goes to a port where nobody listens.
        #[test]
        fn no_setting_panics(
            mut env in proptest::collection::vec((proptest::sample::select(&VARIABLES[..]), value()), 0..6),
            address in prop_oneof![
                Just("s3://bucket/prefix".to_owned()), Just("gs://bucket".to_owned()), Just("az://container/a".to_owned()),
                Just("abfss://container@account.dfs.core.windows.net/a".to_owned()), "(s3|gs|az|abfss|https)://\\PC{0,20}",
            ],
        ) {
            // Everything is sent by way of a proxy that is not there.
            for provider in ["AWS", "AZURE", "GOOGLE"] {
                env.push((if provider == "AWS" { "AWS_PROXY_URL" } else if provider == "AZURE" { "AZURE_PROXY_URL" } else { "GOOGLE_PROXY_URL" }, "http://127.0.0.1:9".into()));
            }
            let env: Vec<(String, String)> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let options = StorageOptions { retry_budget: std::time::Duration::ZERO, ..StorageOptions::default() };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(storage) = Storage::open(&address, env, options) {
                    let _ = storage.head("a").await;
                    let _ = storage.put_new("a", bytes::Bytes::from_static(b"a")).await;
                    let _ = storage.list("").await;
                }
            });
        }
    }
}
