//! Servers that are programs of their own: installed on first use, started on a free port, gone with the test.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Waits for its own standard input to end, which happens however the test program ends, and then ends the server.
const KEEPER: &str = r#"exec 3<&0; "$@" </dev/null & server=$!; read -r _ <&3; kill "$server"; wait "$server""#;

/// A running server program.
#[derive(Debug)]
pub(super) struct Program {
    keeper: Child,
    address: SocketAddr,
    /// Holds its output; goes with it.
    _folder: tempfile::TempDir,
}

impl Program {
    /// Starts `program` and waits for a line of its output that names `http://127.0.0.1:port`.
    pub(super) fn start(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let output = std::fs::File::create(&log)?;
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let started = Instant::now();
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(address) = address_in(&said) {
                return Ok(Self { keeper, address, _folder: folder });
            }
            if started.elapsed() > START_LIMIT {
                end(&mut keeper);
                return Err(io::Error::other(format!("{} did not start: {said}", program.display())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.keeper);
    }
}

fn end(keeper: &mut Child) {
    drop(keeper.stdin.take());
    let _ = keeper.wait();
}

fn address_in(output: &str) -> Option<SocketAddr> {
    let behind = output.split("http://").skip(1).find(|text| text.starts_with("127.0.0.1:") && !text.starts_with("127.0.0.1:0"))?;
    let end = behind.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
    behind.get(..end)?.parse().ok()
}

/// Installs a server at its pinned version, unless that is done, and gives its folder below the build's folder.
pub(crate) fn install(server: &str) -> io::Result<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| home.join("../../target"), PathBuf::from);
    let cache = std::path::absolute(target)?.join("test-servers");
    let status = Command::new(home.join("servers/install")).arg(&cache).arg(server).stdout(Stdio::null()).status()?;
    if status.success() {
        Ok(cache.join(server))
    } else {
        Err(io::Error::other(format!("installing {server} for the tests failed: {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_ends_with_its_handle() {
        let script = "echo server on http://127.0.0.1:4711/ready, process $$; exec sleep 600";
        let program = Program::start(Path::new("/bin/sh"), &["-c", script]).unwrap();
        assert_eq!(program.address(), "127.0.0.1:4711".parse().unwrap());
        let said = std::fs::read_to_string(program._folder.path().join("log")).unwrap();
        let process = PathBuf::from("/proc").join(said.trim().rsplit(' ').next().unwrap());
        assert!(process.exists(), "{said}");
        drop(program);
        assert!(!process.exists());
    }

    #[test]
    fn addresses_in_what_servers_say() {
        assert_eq!(address_in(" * Running on http://127.0.0.1:5000\n"), "127.0.0.1:5000".parse().ok());
        assert_eq!(address_in("starting on 127.0.0.1:0\nsuccessfully listens on http://127.0.0.1:81\n"), "127.0.0.1:81".parse().ok());
        assert_eq!(address_in("http://127.0.0.1:50"), None, "the line may not be whole yet");
    }
}
