//! A profile that says where the store's server and credentials are, through the built program.

use std::fs;

use tgvault::crypt::keys;
use tgvault_test_support::sandbox::Sandbox;
use tgvault_test_support::stores::s3s::S3s;

#[test]
fn server_region_and_credentials_come_from_the_profile() {
    let server = S3s::start().unwrap();
    let bucket = server.bucket().unwrap();
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let of = |name: &str| bucket.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let endpoint = of("AWS_ENDPOINT_URL").unwrap();
    let (id, secret, region) = (of("AWS_ACCESS_KEY_ID").unwrap(), of("AWS_SECRET_ACCESS_KEY").unwrap(), of("AWS_REGION").unwrap());
    let work = sandbox.work();
    fs::write(work.join("env"), format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY='{secret}'\n")).unwrap();
    fs::create_dir_all(sandbox.home().join(".aws")).unwrap();
    fs::write(sandbox.home().join(".aws/credentials"), format!("[b]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"))
        .unwrap();
    fs::create_dir(work.join("credentials")).unwrap();
    fs::copy(work.join("env"), work.join("credentials/store")).unwrap();
    fs::create_dir(work.join("source")).unwrap();
    fs::write(work.join("source/file"), "file").unwrap();
    // What the process has is another's, and must not be used.
    sandbox.env([("AWS_ACCESS_KEY_ID", "foreign"), ("AWS_SECRET_ACCESS_KEY", "foreign"), ("AWS_SESSION_TOKEN", "foreign")]);
    sandbox.env([("CREDENTIALS_DIRECTORY", work.join("credentials").display().to_string())]);
    let (key, recipient) = keys::generate();
    fs::write(work.join("key.txt"), keys::expose(&key)).unwrap();
    for reference in ["env-file = 'env'", "aws-profile = 'b'", "credential = 'store'"] {
        let prefix = reference.split(' ').next().unwrap();
        let vault = format!("[[vault]]\nname = 'far'\nrepo = '{}/{prefix}'\nendpoint = '{endpoint}'\nregion = '{region}'\n", bucket.url);
        let source = "[[source]]\nkind = 'folder'\npath = 'source'\n";
        fs::write(work.join("p.toml"), format!("{vault}{reference}\n{source}")).unwrap();
        let sheet = format!("{prefix}.sheet");
        for line in [&["init", "-r", &recipient, "--sheet", &sheet][..], &["run"], &["verify"]] {
            let run = sandbox.run([&["-P", "./p.toml"], line].concat()).unwrap();
            assert_eq!(run.code, Some(0), "{reference}: {line:?}: {}{}", run.stdout, run.stderr);
        }
        // Whoever restores needs the server's address, which no variable has.
        assert!(fs::read_to_string(work.join(sheet)).unwrap().contains(&endpoint));
    }
}
