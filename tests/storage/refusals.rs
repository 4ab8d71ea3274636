//! What a store refuses for good, through the built program: each has its sentence, its hint and its exit code, and nothing is tried
//! again for minutes. Certificates of a private authority, and of nobody.

use std::path::Path;
use std::process::Command;

use tgvault_test_support::gate::{Action, Gate};
use tgvault_test_support::sandbox::{Run, Sandbox};
use tgvault_test_support::tls::Tls;

use crate::stores;

/// Requests that a run may make before it says that there is no use.
const FEW: usize = 8;

fn sandbox(endpoint: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    sandbox.env([
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", endpoint),
    ]);
    sandbox
}

fn ends(sandbox: &Sandbox, arguments: &[&str], code: i32, says: &[&str]) -> Run {
    let run = sandbox.run([&["--repo", "s3://bucket/vault"], arguments].concat()).unwrap();
    assert_eq!(run.code, Some(code), "{says:?}: {run:?}");
    assert!(run.stderr.contains("hint: ") && !run.stderr.contains("panicked"), "{run:?}");
    for word in says {
        assert!(run.stderr.contains(word), "'{word}': {run:?}");
    }
    run
}

/// A server that answers every request like this.
fn refusing(code: i32, says: &[&str], status: u16, headers: Vec<(&'static str, &'static str)>, body: &'static str) {
    let gate = Gate::start(None, move |_| Action::Answer(status, headers.clone(), body)).unwrap();
    for arguments in [&["verify"][..], &["init", "--generate-passphrase"]] {
        ends(&sandbox(&gate.url()), arguments, code, says);
    }
    assert!(gate.seen().len() <= FEW, "{} requests", gate.seen().len());
}

#[test]
fn a_clock_that_is_off() {
    let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>";
    refusing(21, &["hours ahead of", "NTP"], 403, vec![("date", "Mon, 30 Nov 2020 12:00:00 GMT")], body);
    let body = "<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2099-11-30T12:00:00Z</ServerTime></Error>";
    refusing(21, &["hours behind"], 403, vec![], body);
    // Some servers only say that the signature does not fit.
    let body = "<Error><Code>AccessDenied</Code></Error>";
    refusing(21, &["hours ahead of"], 403, vec![("date", "Mon, 30 Nov 2020 12:00:00 GMT")], body);
}

#[test]
fn another_region() {
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";
    refusing(22, &["region eu-west-1", "AWS_REGION"], 400, vec![], body);
    refusing(22, &["region eu-west-1"], 301, vec![("x-amz-bucket-region", "eu-west-1")], "<Error><Code>PermanentRedirect</Code></Error>");
}

#[test]
fn a_quota_that_is_used_up() {
    for (status, body) in [
        (403, "<Error><Code>QuotaExceeded</Code></Error>"),
        (507, ""),
        (413, "Upload exceeds quota."),
        (503, "<Error><Code>XMinioStorageFull</Code></Error>"),
    ] {
        refusing(20, &["no room left", "quota"], status, vec![], body);
    }
}

#[test]
fn http_and_https_taken_for_each_other() {
    let gate = Gate::start(None, |_| Action::Answer(200, vec![], "")).unwrap();
    ends(&sandbox(&gate.url().replace("http://", "https://")), &["verify"], 23, &["expects http://", "port"]);
    refusing(23, &["expects https://"], 400, vec![], "Client sent an HTTP request to an HTTPS server.\n");
}

/// No resolver is asked for a name that is longer than names can be.
#[test]
fn a_host_that_does_not_resolve() {
    let mut sandbox = sandbox(&format!("http://{}.invalid", "x".repeat(64)));
    sandbox.env([("NO_PROXY", "*"), ("no_proxy", "*")]);
    ends(&sandbox, &["verify"], 24, &["does not resolve", "check the server's name"]);
}

#[test]
fn settings_that_cannot_be_right() {
    for endpoint in ["127.0.0.1:9000", "localhost:9000", "minio", "http://", "https://[::1", "ftp://127.0.0.1", "http://u:p@127.0.0.1"] {
        ends(&sandbox(endpoint), &["verify"], 2, &["AWS_ENDPOINT_URL", "hint: "]);
    }
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "tes\nting"),
        ("AWS_SESSION_TOKEN", "tök"),
        ("AWS_REGION", "eu west"),
        ("AWS_METADATA_ENDPOINT", "host"),
        ("AWS_ENDPOINT_URL_S3", "host:1"),
        ("AWS_CA_BUNDLE", "/nowhere"),
    ] {
        let mut sandbox = sandbox("http://127.0.0.1:9");
        sandbox.env([(name, value)]);
        let run = ends(&sandbox, &["verify"], 2, &[name]);
        assert!(!run.stderr.contains("tes\nting"), "{run:?}");
    }
    for (address, name, value) in [
        ("az://container/x", "AZURE_STORAGE_ENDPOINT", "127.0.0.1:10000"),
        ("az://container/x", "AZURE_STORAGE_ACCOUNT_KEY", "a\nb"),
        (
            "gs://bucket/x",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "{\"gcs_base_url\":\"localhost:4443\",\"client_email\":\"\",\"private_key\":\"\",\"private_key_id\":\"\"}",
        ),
    ] {
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        sandbox.env([("AZURE_STORAGE_ACCOUNT_NAME", "account"), (name, value)]);
        let run = sandbox.run(["--repo", address, "verify"]).unwrap();
        assert!(run.code == Some(2) && run.stderr.contains(name) && run.stderr.contains("hint: "), "{run:?}");
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority of one's own, and certificates as `openssl req -x509` makes them: trusted when they are named, and only then.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_named() {
    let bucket = stores::moto().await.bucket().await.unwrap();
    tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in ["own", "other", "authority"] {
            let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
            openssl(
                folder.path(),
                &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nas", "-days", "9", "-keyout", &key, "-out", &certificate],
            );
        }
        std::fs::write(at("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        openssl(folder.path(), &["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=s3", "-keyout", "server.key", "-out", "server.csr"]);
        openssl(
            folder.path(),
            &[
                "x509",
                "-req",
                "-in",
                "server.csr",
                "-CA",
                "authority.pem",
                "-CAkey",
                "authority.key",
                "-CAcreateserial",
                "-days",
                "9",
                "-extfile",
                "names",
                "-out",
                "server.pem",
            ],
        );
        let run = |tls: &Tls, prefix: &str, variables: &[(&str, &str)], more: &[&str]| {
            let through = bucket.clone().through(&tls.url());
            let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
            sandbox.env(through.env.iter().cloned()).env(variables.iter().copied());
            let url = format!("{}/{prefix}", bucket.url);
            sandbox.run([&["--repo", &url], more, &["init", "--generate-passphrase"]].concat()).unwrap()
        };
        let own = Tls::start(bucket.address, Path::new(&at("own.pem")), Path::new(&at("own.key"))).unwrap();
        let signed = Tls::start(bucket.address, Path::new(&at("server.pem")), Path::new(&at("server.key"))).unwrap();
        for (number, (tls, trusted)) in [(&own, "own.pem"), (&signed, "authority.pem")].into_iter().enumerate() {
            for variables in [vec![], vec![("AWS_CA_BUNDLE", at("other.pem"))]] {
                let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let refused = run(tls, "refused", &variables, &[]);
                assert_eq!(refused.code, Some(25), "{refused:?}");
                assert!(refused.stderr.contains("not trusted") && refused.stderr.contains("--ca-file"), "{refused:?}");
            }
            let file = at(trusted);
            for (way, variables, more) in [
                ("bundle", vec![("AWS_CA_BUNDLE", file.as_str())], vec![]),
                ("variable", vec![("SSL_CERT_FILE", file.as_str())], vec![]),
                ("option", vec![], vec!["--ca-file", file.as_str()]),
            ] {
                let made = run(tls, &format!("{way}{number}"), &variables, &more);
                assert_eq!(made.code, Some(0), "{way}: {made:?}");
            }
        }
    })
    .await
    .unwrap();
}

/// Where each machine has a storage user of its own, the bucket's owner gets what they store: the header is sent and signed.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_bucket_gets_full_control() {
    let bucket = stores::moto().await.bucket().await.unwrap();
    tokio::task::spawn_blocking(move || {
        let gate = Gate::start(Some(bucket.address), |_| Action::Forward).unwrap();
        let through = bucket.clone().through(&gate.url());
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        sandbox.env(through.env.iter().cloned());
        let url = format!("{}/owned", bucket.url);
        let made = sandbox.run(["--repo", &url, "--bucket-owner-full-control", "init", "--generate-passphrase"]).unwrap();
        assert_eq!(made.code, Some(0), "{made:?}");
        let puts: Vec<_> = gate.seen().into_iter().filter(|seen| seen.method == "PUT").collect();
        assert!(puts.len() >= 6);
        for seen in puts {
            assert_eq!(seen.header("x-amz-acl"), Some("bucket-owner-full-control"), "{seen:?}");
            assert!(seen.header("authorization").is_some_and(|value| value.contains("x-amz-acl")), "{seen:?}");
        }
    })
    .await
    .unwrap();
}
